"""SampledRows: what a job gives back."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobs.float_array import are_float32
from jobs.generate_job import Token
from jobs.provenance import Provenance


def _check_precision(logprobs: tuple[float, ...]) -> tuple[float, ...]:
    if not are_float32(logprobs):
        raise ValueError("a logprob that is no float32 number")
    return logprobs


Mask = Annotated[int, Field(strict=True, ge=0, le=1)]
Logprob = Annotated[float, Field(strict=True, le=0, allow_inf_nan=False)]
Logprobs = Annotated[tuple[Logprob, ...], AfterValidator(_check_precision)]
FinishReason = Literal["stop", "length"]


class Row(BaseModel):
    """One sample.

    `tokens`: what follows the prompt. `masks`, one per token: 1 if it was sampled, 0 if it was
    forced (a tool's output). `finish_reason`: "stop" if the model or a stop ended the row,
    "length" if it ran into max_tokens or the model's context.

    What follows is None unless the job asked for it; docs/sampler.md defines it. `logprobs`, one
    per token: the logarithm of its probability, as a float32 number. `top_tokens`: the likeliest
    tokens at each position, `top_logprobs` of the job for each, one position after the other;
    `top_logprobs`: theirs. `text`, of a job with stop strings or a structure: what the tokens say,
    without special tokens, up to the stop string; it may go on in a token that is left out for the
    stop string's part in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[Token, ...]
    masks: tuple[Mask, ...]
    finish_reason: FinishReason
    logprobs: Logprobs | None = None
    top_tokens: tuple[Token, ...] | None = None
    top_logprobs: Logprobs | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        num_tokens = len(self.tokens)
        if len(self.masks) != num_tokens:
            raise ValueError(f"{len(self.masks)} masks for {num_tokens} tokens")
        if self.logprobs is not None and len(self.logprobs) != num_tokens:
            raise ValueError(f"{len(self.logprobs)} logprobs for {num_tokens} tokens")
        top, likely = self.top_tokens, self.top_logprobs
        if (top is None) != (likely is None) or len(top or ()) != len(likely or ()):
            raise ValueError("top tokens and top logprobs that are not as many")
        if top is not None and len(top) != max(self.num_top, 1) * num_tokens:
            raise ValueError(f"{len(top)} top tokens for {num_tokens} tokens")
        return self

    @property
    def num_top(self) -> int:
        """How many of the likeliest tokens there are at each position."""
        return len(self.top_tokens or ()) // max(len(self.tokens), 1)


class SampledRows(BaseModel):
    """The rows of a job, in the order of their index: that of `first_row` first.

    `provenance`: what is needed to repeat them; None where the worker did not say.
    `prompt_logprobs`, where the job asked for them: the model's own log-probabilities of the
    prompt's tokens, from the second on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[Row, ...]
    provenance: Provenance | None = None
    prompt_logprobs: Logprobs | None = None

    @model_validator(mode="after")
    def _check_rows_are_alike(self) -> Self:
        for name in ("logprobs", "top_tokens", "text"):
            if len({getattr(row, name) is None for row in self.rows}) > 1:
                raise ValueError(f"rows with {name} beside rows without")
        if len({row.num_top for row in self.rows if row.tokens}) > 1:
            raise ValueError("rows with more top tokens at a position than other rows")
        return self

    @property
    def reproducible(self) -> bool:
        """Whether the rows were found not to depend on what shared the worker's batch."""
        return self.provenance is not None and self.provenance.reproducible
