"""What goes into the engine and what comes out, as plain frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from engine.checks import check_integer, shown
from engine.errors import RequestError
from engine.provenance import Provenance
from engine.sampling_params import MAX_COUNT, SamplingParams

FinishReason = Literal["stop", "length", "error"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`num_samples` rows for one prompt. Raises RequestError naming the first bad field."""

    id: str
    prompt_tokens: Sequence[int]
    num_samples: int = 1
    first_row: int = 0
    """The index of the first row: the rows are those of indices first_row to first_row +
    num_samples - 1, whatever else was or will be asked for of them."""
    params: SamplingParams = dataclasses.field(default_factory=SamplingParams)
    stream: bool = False
    """Whether its rows are told as they come; see `Engine.deltas`."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise RequestError("id", f"must be a string that isn't empty, not {shown(self.id)}")
        check_integer("num_samples", self.num_samples, 1, MAX_COUNT)
        check_integer("first_row", self.first_row, 0, MAX_COUNT - self.num_samples)
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
    """Per token, forced ones included, the logarithm of its probability, as docs/sampler.md defines
    it; None unless the request asked for them. Exact in float32."""
    top_tokens: list[int] | None = None
    """The likeliest tokens at each position, the likeliest first, one position after the other;
    None unless the request asked for some."""
    top_logprobs: list[float] | None = None
    """Their log-probabilities, as they lie in `top_tokens`."""
    text: str | None = None
    """What the tokens say, up to the stop string if one ended the row; None unless the request has
    stop strings or a structure. It may go on in a token that is left out for the stop string's part
    in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimes:
    """Moments of a request's life, by `time.monotonic`; None: that never came. A request that
    started over keeps the first of each."""

    submitted_at: float
    admitted_at: float | None
    """When its prompt's turn came."""
    first_token_at: float | None
    """When the first of its rows had a token."""
    done_at: float


@dataclasses.dataclass(frozen=True, slots=True)
class RowDelta:
    """The next tokens of a row, and how it ended if it has; what there is of them is as in its
    RowResult."""

    index: int
    """Of the row, from `first_row` on."""
    start: int
    """How many of its tokens came before."""
    tokens: list[int]
    masks: list[int]
    finish_reason: FinishReason | None
    """None: the row goes on."""
    logprobs: list[float] | None
    top_tokens: list[int] | None
    top_logprobs: list[float] | None
    text: str | None
    """All of the row's, once it has ended."""


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

    prompt_logprobs: list[float] | None = None
    """The model's own log-probabilities of the prompt's tokens, from the second on; None unless the
    request asked for them."""

    deltas: list[RowDelta] = dataclasses.field(default_factory=list, compare=False, repr=False)
    """Of a request that streams: what `Engine.deltas` has not told of it."""
    times: RequestTimes | None = dataclasses.field(default=None, compare=False, repr=False)
    """When it came and went: no part of what is promised to be equal."""

    @property
    def reproducible(self) -> bool:
        """Whether the rows were found not to depend on what shared the batch."""
        return self.provenance is not None and self.provenance.reproducible
