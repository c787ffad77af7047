"""SampledRows: what a job gives back."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.generate_job import Token
from jobs.provenance import Provenance

Mask = Annotated[int, Field(strict=True, ge=0, le=1)]
FinishReason = Literal["stop", "length"]


class Row(BaseModel):
    """One sample.

    `tokens`: what follows the prompt. `masks`, one per token: 1 if it was sampled, 0 if it was
    forced (a tool's output). `finish_reason`: "stop" if the model ended the row, "length" if it
    ran into max_tokens or the model's context.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[Token, ...]
    masks: tuple[Mask, ...]
    finish_reason: FinishReason

    @model_validator(mode="after")
    def _check_lengths(self) -> "Row":
        if len(self.masks) != len(self.tokens):
            raise ValueError(f"{len(self.masks)} masks for {len(self.tokens)} tokens")
        return self


class SampledRows(BaseModel):
    """The rows of a job, in the order of their index: that of `first_row` first.

    `provenance`: what is needed to repeat them; None where the worker did not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[Row, ...]
    provenance: Provenance | None = None

    @property
    def reproducible(self) -> bool:
        """Whether the rows were found not to depend on what shared the worker's batch."""
        return self.provenance is not None and self.provenance.reproducible
