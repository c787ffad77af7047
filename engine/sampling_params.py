"""SamplingParams: how the rows of a request are sampled, and when they end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from engine.checks import (
    as_items,
    check_above_zero,
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_text,
    shown,
)
from engine.errors import RequestError

LogprobsMode = Literal["raw", "processed"]

MAX_COUNT = 2**31 - 1
MAX_SEED = 2**64 - 1
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

_LOGPROBS_MODES = ("raw", "processed")
_GRAMMARS = ("json_schema", "regex", "grammar")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the rows of a request are sampled. docs/sampler.md defines what each field does.

    None stands for the model's own default, where it has one: checkpoints may come with those of
    temperature, top_k, top_p, min_p and repetition_penalty. Raises RequestError naming the first
    bad field.
    """

    max_tokens: int | None = None
    """Most tokens to generate per row, forced ones included; None: until the context is full."""
    min_tokens: int = 0
    """No row ends by a token or a stop string before it has so many tokens."""
    temperature: float | None = None
    """From 0 to 10,000; below 1e-6 it is greedy, lowest token ID on ties. None: 1, or the
    model's."""
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    stop: Sequence[str] = ()
    """Strings that end a row. Its tokens end before the first one that holds a part of it."""
    stop_token_ids: Sequence[int] = ()
    """Tokens that end a row, beside the model's own; the row holds the one that ended it."""
    ignore_eos: bool = False
    """Whether the model's own end tokens end no row."""
    repetition_penalty: float | None = None
    """Logits of tokens that the prompt or the row holds are divided by it where they are above 0,
    and multiplied elsewhere. None: 1, or the model's."""
    presence_penalty: float = 0.0
    """Taken off the logits of tokens that the row holds."""
    frequency_penalty: float = 0.0
    """Taken off the logits of tokens that the row holds, once for each time."""
    logit_bias: Mapping[int, float] | Sequence[tuple[int, float]] = ()
    """Added to the logits of these tokens. Kept as pairs, in the tokens' order."""
    bad_words: Sequence[str | Sequence[int]] = ()
    """Sequences of tokens that never come: their last token can't follow the others. Text stands
    for its tokens, and for those with a space before it."""
    logprobs: bool = False
    """Whether rows come with the log-probabilities of their tokens."""
    top_logprobs: int = 0
    """So many of the likeliest tokens come with theirs, at each position."""
    logprobs_mode: LogprobsMode = "raw"
    """`raw`: the model's own, before anything else; `processed`: those by which it was drawn."""
    return_prompt_logprobs: bool = False
    """Whether the result has the model's own log-probabilities of the prompt's tokens."""
    json_schema: str | Mapping[str, Any] | None = None
    """The rows are JSON of this schema. Kept as text."""
    regex: str | None = None
    """The rows are matched, as a whole, by this regular expression."""
    grammar: str | None = None
    """The rows are of this context-free grammar, in Lark's notation."""

    def __post_init__(self) -> None:
        self._check_ends()
        self._check_distribution()
        self._check_logprobs()
        self._check_structure()

    @property
    def is_structured(self) -> bool:
        """Whether a grammar of some kind rules the rows."""
        return any(getattr(self, name) is not None for name in _GRAMMARS)

    def _check_ends(self) -> None:
        if self.max_tokens is not None:
            check_integer("max_tokens", self.max_tokens, 1, MAX_COUNT)
        most = MAX_COUNT if self.max_tokens is None else self.max_tokens
        check_integer("min_tokens", self.min_tokens, 0, most)
        stops = as_items("stop", self.stop, MAX_STOPS, "strings")
        for stop in stops:
            check_text("stop", stop, MAX_STOP_CHARS)
        self._keep("stop", stops)
        self._keep("stop_token_ids", _tokens("stop_token_ids", self.stop_token_ids, MAX_STOPS))
        check_bool("ignore_eos", self.ignore_eos)

    def _check_distribution(self) -> None:
        if self.temperature is not None:
            check_number("temperature", self.temperature, 0.0, MAX_TEMPERATURE)
        if self.top_k is not None:
            check_integer("top_k", self.top_k, 1, MAX_COUNT)
        if self.top_p is not None:
            check_above_zero("top_p", self.top_p, 1.0)
        if self.min_p is not None:
            check_number("min_p", self.min_p, 0.0, 1.0)
        check_integer("seed", self.seed, 0, MAX_SEED)
        if self.repetition_penalty is not None:
            check_above_zero("repetition_penalty", self.repetition_penalty, MAX_REPETITION_PENALTY)
        check_number("presence_penalty", self.presence_penalty, -MAX_PENALTY, MAX_PENALTY)
        check_number("frequency_penalty", self.frequency_penalty, -MAX_PENALTY, MAX_PENALTY)
        self._keep("logit_bias", _biases(self.logit_bias))
        words = as_items("bad_words", self.bad_words, MAX_BAD_WORDS, "words")
        self._keep("bad_words", tuple(map(_bad_word, words)))

    def _check_logprobs(self) -> None:
        check_bool("logprobs", self.logprobs)
        check_integer("top_logprobs", self.top_logprobs, 0, MAX_TOP_LOGPROBS)
        check_choice("logprobs_mode", self.logprobs_mode, _LOGPROBS_MODES)
        check_bool("return_prompt_logprobs", self.return_prompt_logprobs)
        if not self.logprobs and self.top_logprobs:
            raise RequestError("top_logprobs", "needs logprobs to be true")
        if not self.logprobs and self.logprobs_mode != "raw":
            raise RequestError("logprobs_mode", "needs logprobs to be true")

    def _check_structure(self) -> None:
        if isinstance(self.json_schema, Mapping):
            self._keep("json_schema", _as_json(self.json_schema))
        given = [name for name in _GRAMMARS if getattr(self, name) is not None]
        for name in given:
            check_text(name, getattr(self, name), MAX_GRAMMAR_CHARS)
        if len(given) > 1:
            raise RequestError(given[1], f"can't be given together with {given[0]}")
        # The end of the structure is the end of the row: it can't be put off.
        for name, is_given in (("min_tokens", self.min_tokens), ("ignore_eos", self.ignore_eos)):
            if given and is_given:
                raise RequestError(name, f"can't be given together with {given[0]}")

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _tokens(field: str, value: Any, most: int) -> tuple[int, ...]:
    tokens = as_items(field, value, most, "token IDs")
    for token in tokens:
        check_integer(field, token, 0, MAX_COUNT)
    return tokens


def _biases(value: Any) -> tuple[tuple[int, float], ...]:
    pairs = as_items(
        "logit_bias", [*value.items()] if isinstance(value, Mapping) else value, MAX_BIASES, "pairs"
    )
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RequestError("logit_bias", f"must map tokens to numbers, not {shown(pair)}")
        check_integer("logit_bias", pair[0], 0, MAX_COUNT)
        check_number("logit_bias", pair[1], -MAX_BIAS, MAX_BIAS)
    biases = sorted((token, float(bias)) for token, bias in pairs)
    for (token, _), (following, _) in pairwise(biases):
        if token == following:
            raise RequestError("logit_bias", f"holds token {token} twice")
    return tuple(biases)


def _bad_word(word: Any) -> str | tuple[int, ...]:
    if isinstance(word, str):
        check_text("bad_words", word, MAX_STOP_CHARS)
        return word
    tokens = _tokens("bad_words", word, MAX_BAD_WORD_TOKENS)
    if not tokens:
        raise RequestError("bad_words", "must not hold an empty word")
    return tokens


def _as_json(schema: Mapping[str, Any]) -> str:
    """In the schema's own order, which is that of the rows' properties."""
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError("json_schema", f"is no JSON: {error}") from error
