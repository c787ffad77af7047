"""SamplingFields: the controls of sampling, which jobs and datasets have in common."""

import json
from array import array
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.errors import InvalidJobError, brief
from jobs.field_limits import above_zero, as_tuple, flag, integer, items, number, text

MAX_COUNT = 2**31 - 1
MAX_TEMPERATURE = 10_000.0
MAX_TOP_LOGPROBS = 100
MAX_PENALTY = 2.0
MAX_REPETITION_PENALTY = 10.0
MAX_BIAS = 100.0
MAX_BIASES = 4096
MAX_STOPS = 64
MAX_STOP_CHARS = 256
MAX_BAD_WORDS = 1024
MAX_BAD_WORD_TOKENS = 256
MAX_GRAMMAR_CHARS = 2**18

LogprobsMode = Literal["raw", "processed"]

_GRAMMARS = ("json_schema", "regex", "grammar")
_LONGEST_TOKEN = len(str(MAX_COUNT))


def _as_pairs(value: object) -> tuple[Any, ...]:
    """Of a mapping, or as they are. JSON knows no keys but strings, so tokens may be digits."""
    pairs = tuple(value.items()) if isinstance(value, Mapping) else as_tuple(value)
    return tuple(map(_as_pair, pairs))


def _as_pair(pair: object) -> object:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return pair
    token, bias = pair
    if isinstance(token, str) and token.isascii() and token.isdigit():
        token = int(token) if len(token) <= _LONGEST_TOKEN else token
    return token, bias


def _in_order(pairs: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    ordered = tuple(sorted(pairs))
    for (token, _), (following, _) in pairwise(ordered):
        if token == following:
            raise InvalidJobError("logit_bias", f"token {token} twice", "of different tokens")
    return ordered


def _as_words(value: object) -> tuple[Any, ...]:
    return tuple(
        tuple(word) if isinstance(word, list | array) else word for word in as_tuple(value)
    )


def _as_json(value: object) -> object:
    """In the mapping's own order, which is that of the rows' properties."""
    if not isinstance(value, Mapping):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise PydanticCustomError("not_json", "not to be written as JSON") from error


_Token = Annotated[int, Field(ge=0, le=MAX_COUNT)]
_Tokens = Annotated[tuple[_Token, ...], FailFast(), BeforeValidator(as_tuple)]
_Text = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]
_Texts = Annotated[tuple[_Text, ...], FailFast(), BeforeValidator(as_tuple)]
_Bias = Annotated[float, Field(ge=-MAX_BIAS, le=MAX_BIAS)]
_Biases = Annotated[
    tuple[tuple[_Token, _Bias], ...],
    FailFast(),
    BeforeValidator(_as_pairs),
    AfterValidator(_in_order),
]
_Word = _Text | Annotated[tuple[_Token, ...], Field(min_length=1, max_length=MAX_BAD_WORD_TOKENS)]
_Words = Annotated[tuple[_Word, ...], FailFast(), BeforeValidator(_as_words)]
_Json = Annotated[str | None, BeforeValidator(_as_json)]

_SCHEMA = "a JSON schema, as a mapping or as text,"
_STRINGS = f"strings of 1 to {MAX_STOP_CHARS} characters"


class SamplingFields(BaseModel):
    """How rows are sampled and when they end, as docs/sampler.md defines it.

    The names, limits and defaults are those of the engine's SamplingParams. None stands for the
    model's own default where it has one: for temperature, top_k, top_p, min_p and
    repetition_penalty.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    max_tokens: int | None = integer(None, 1, MAX_COUNT)
    min_tokens: int = integer(0, 0, MAX_COUNT)
    temperature: float | None = number(None, 0, MAX_TEMPERATURE)
    top_k: int | None = integer(None, 1, MAX_COUNT)
    top_p: float | None = above_zero(None, 1)
    min_p: float | None = number(None, 0, 1)
    stop: _Texts = items(MAX_STOPS, _STRINGS)
    stop_token_ids: _Tokens = items(MAX_STOPS, f"integers from 0 to {MAX_COUNT}")
    ignore_eos: bool = flag()
    repetition_penalty: float | None = above_zero(None, MAX_REPETITION_PENALTY)
    presence_penalty: float = number(0.0, -MAX_PENALTY, MAX_PENALTY)
    frequency_penalty: float = number(0.0, -MAX_PENALTY, MAX_PENALTY)
    logit_bias: _Biases = Field(
        default=(),
        max_length=MAX_BIASES,
        description=f"a mapping of at most {MAX_BIASES} tokens to numbers from {-MAX_BIAS:g} to "
        f"{MAX_BIAS:g}",
    )
    bad_words: _Words = items(
        MAX_BAD_WORDS, f"{_STRINGS}, or lists of 1 to {MAX_BAD_WORD_TOKENS} tokens"
    )
    logprobs: bool = flag()
    top_logprobs: int = integer(0, 0, MAX_TOP_LOGPROBS)
    logprobs_mode: LogprobsMode = Field(default="raw", description="raw or processed")
    return_prompt_logprobs: bool = flag()
    json_schema: _Json = text(MAX_GRAMMAR_CHARS, _SCHEMA)
    regex: str | None = text(MAX_GRAMMAR_CHARS, "a regular expression")
    grammar: str | None = text(MAX_GRAMMAR_CHARS, "a grammar in Lark's notation,")

    @model_validator(mode="after")
    def _check_conflicts(self) -> Self:
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise self._broken("min_tokens", f"at most max_tokens, {self.max_tokens}")
        if not self.logprobs:
            self._check_default("top_logprobs", "without logprobs")
            self._check_default("logprobs_mode", "without logprobs")
        given = [name for name in _GRAMMARS if getattr(self, name) is not None]
        for name in given[1:]:
            self._check_default(name, f"beside {given[0]}")
        if given:  # the end of the structure is the end of the row: it can't be put off
            self._check_default("min_tokens", f"beside {given[0]}")
            self._check_default("ignore_eos", f"beside {given[0]}")
        return self

    def fields(self) -> dict[str, Any]:
        """The keyword arguments that make the same again, without those that are the defaults."""
        known = type(self).model_fields
        return {name: value for name, value in self if value != known[name].default}

    def _check_default(self, name: str, where: str) -> None:
        default = type(self).model_fields[name].default
        if getattr(self, name) != default:
            raise self._broken(name, f"{default} {where}")

    def _broken(self, name: str, limit: str) -> InvalidJobError:
        return InvalidJobError(name, brief(getattr(self, name)), limit)
