"""What goes into the engine and what comes out, as plain frozen data."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from typing import Any, Literal

from engine.errors import RequestError
from engine.provenance import Provenance

FinishReason = Literal["stop", "length", "error"]

_MAX_SEED = 2**64 - 1
_MAX_COUNT = 2**31 - 1
_MOST_HEAT = 10_000.0


def check_integer(field: str, value: Any, least: int, most: int) -> None:
    """Raise RequestError unless `value` is an integer (bool is none) from `least` to `most`."""
    if type(value) is not int:
        raise RequestError(field, f"must be an integer, not {shown(value)}")
    if not least <= value <= most:
        raise RequestError(field, f"must be from {least} to {most}, not {shown(value)}")


def check_number(field: str, value: Any, least: float, most: float) -> None:
    """Raise RequestError unless `value` is a finite number from `least` to `most`."""
    if type(value) not in (int, float):
        raise RequestError(field, f"must be a number, not {shown(value)}")
    if not (least <= value <= most and value <= sys.float_info.max):
        limit = f"from {least:g} to {most:g}" if math.isfinite(most) else f"at least {least:g}"
        raise RequestError(field, f"must be finite and {limit}, not {shown(value)}")


def shown(value: Any) -> str:
    """A value as an error message shows it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = f"{type(value).__name__} with an integer too long to write"
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the rows of a request are sampled. Raises RequestError naming the first bad field."""

    max_tokens: int | None = None
    """Most tokens to generate per row, forced ones included; None: until the context is full."""
    temperature: float = 1.0
    """From 0 to 10,000; below 1e-6 it is greedy, lowest token ID on ties."""
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    logprobs: bool = False
    """Whether rows come with the model's own log-probabilities of their tokens."""

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            check_integer("max_tokens", self.max_tokens, 1, _MAX_COUNT)
        check_number("temperature", self.temperature, 0.0, _MOST_HEAT)
        if self.top_k is not None:
            check_integer("top_k", self.top_k, 1, _MAX_COUNT)
        if self.top_p is not None:
            check_number("top_p", self.top_p, 0.0, 1.0)
            if self.top_p == 0:
                raise RequestError("top_p", "must be above 0")
        if self.min_p is not None:
            check_number("min_p", self.min_p, 0.0, 1.0)
        check_integer("seed", self.seed, 0, _MAX_SEED)
        if type(self.logprobs) is not bool:
            raise RequestError("logprobs", f"must be true or false, not {shown(self.logprobs)}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`num_samples` rows for one prompt. Raises RequestError naming the first bad field."""

    id: str
    prompt_tokens: Sequence[int]
    num_samples: int = 1
    first_row: int = 0
    """The index of the first row: the rows are those of indices first_row to first_row +
    num_samples - 1, whatever else was or will be asked for of them."""
    params: SamplingParams = SamplingParams()

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise RequestError("id", f"must be a string that isn't empty, not {shown(self.id)}")
        check_integer("num_samples", self.num_samples, 1, _MAX_COUNT)
        check_integer("first_row", self.first_row, 0, _MAX_COUNT - self.num_samples)
        if not isinstance(self.params, SamplingParams):
            raise RequestError("params", f"must be SamplingParams, not {shown(self.params)}")
        if isinstance(self.prompt_tokens, str | bytes) or not isinstance(
            self.prompt_tokens, Sequence
        ):
            raise RequestError(
                "prompt_tokens", f"must be a list of integers, not {shown(self.prompt_tokens)}"
            )
        tokens = tuple(self.prompt_tokens)
        if not tokens:
            raise RequestError("prompt_tokens", "must hold at least one token")
        if set(map(type, tokens)) != {int}:
            bad = next(token for token in tokens if type(token) is not int)
            raise RequestError("prompt_tokens", f"must hold integers only, not {shown(bad)}")
        object.__setattr__(self, "prompt_tokens", tokens)


@dataclasses.dataclass(frozen=True, slots=True)
class RowResult:
    """One sampled row: its generated tokens, the token that ended it included."""

    tokens: list[int]
    masks: list[int]
    """Per token: 1 it was sampled, 0 it was forced."""
    finish_reason: FinishReason
    """`stop`: the row sampled a token that ends it; `length`: it reached max_tokens; `error`: the
    model's logits were not finite, and the tokens end there."""
    logprobs: list[float] | None = None
    """Per token, forced ones included, the logarithm of the probability that the model itself gave
    it, as docs/sampler.md defines it; None unless the request asked for them. Exact in float32."""


@dataclasses.dataclass(frozen=True, slots=True)
class RequestResult:
    request_id: str
    rows: list[RowResult]
    """In row order: `rows[i]` is the row of index `first_row + i`."""

    error: str | None = None
    """What went wrong, if anything did: then some row's finish_reason is `error`, or memory was too
    small for the request, and its rows are missing, all or the last ones."""

    provenance: Provenance | None = None
    """What is needed to repeat these rows: the one object of the engine that made them."""

    @property
    def reproducible(self) -> bool:
        """Whether the rows were found not to depend on what shared the batch."""
        return self.provenance is not None and self.provenance.reproducible
