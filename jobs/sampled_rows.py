"""SampledRows: what a job gives back."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from jobs.float_array import are_float32
from jobs.generate_job import Token
from jobs.provenance import Provenance

Mask = Annotated[int, Field(strict=True, ge=0, le=1)]
Logprob = Annotated[float, Field(strict=True, le=0, allow_inf_nan=False)]
FinishReason = Literal["stop", "length"]


class Row(BaseModel):
    """One sample.

    `tokens`: what follows the prompt. `masks`, one per token: 1 if it was sampled, 0 if it was
    forced (a tool's output). `finish_reason`: "stop" if the model ended the row, "length" if it
    ran into max_tokens or the model's context. `logprobs`, one per token where the job asked for
    them, else None: the logarithm of the probability that the model itself gave the token, before
    temperature and filters, as a float32 number; docs/sampler.md defines it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[Token, ...]
    masks: tuple[Mask, ...]
    finish_reason: FinishReason
    logprobs: tuple[Logprob, ...] | None = None

    @model_validator(mode="after")
    def _check_lengths(self) -> "Row":
        if len(self.masks) != len(self.tokens):
            raise ValueError(f"{len(self.masks)} masks for {len(self.tokens)} tokens")
        if self.logprobs is not None and len(self.logprobs) != len(self.tokens):
            raise ValueError(f"{len(self.logprobs)} logprobs for {len(self.tokens)} tokens")
        return self

    @field_validator("logprobs")
    @classmethod
    def _check_precision(cls, logprobs: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if logprobs is not None and not are_float32(logprobs):
            raise ValueError("a logprob that is no float32 number")
        return logprobs


class SampledRows(BaseModel):
    """The rows of a job, in the order of their index: that of `first_row` first.

    `provenance`: what is needed to repeat them; None where the worker did not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[Row, ...]
    provenance: Provenance | None = None

    @field_validator("rows")
    @classmethod
    def _check_logprobs(cls, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        if len({row.logprobs is None for row in rows}) > 1:
            raise ValueError("rows with logprobs beside rows without")
        return rows

    @property
    def reproducible(self) -> bool:
        """Whether the rows were found not to depend on what shared the worker's batch."""
        return self.provenance is not None and self.provenance.reproducible
