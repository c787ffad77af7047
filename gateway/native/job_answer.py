"""What is told of a job."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from gateway.error_docs import ErrorDetail
from gateway.errors import api_error
from jobs import JobInfo, JobsError, JobStatus, Provenance, Row, SampledRows
from vocab import Tokenizer


class Accepted(BaseModel):
    """Jobs that were queued, in the order in which they were given."""

    ids: list[str]


class RowAnswer(BaseModel):
    """One sample. What the job did not ask for is left out."""

    tokens: tuple[int, ...] = Field(description="What follows the prompt.")
    masks: tuple[int, ...] = Field(
        description="Per token: 1 it was sampled, 0 it was forced (a tool's output)."
    )
    finish_reason: Literal["stop", "length"]
    text: str | None = Field(
        default=None, description="What the tokens say, where the gateway has a tokenizer."
    )
    logprobs: tuple[float, ...] | None = None
    top_tokens: tuple[int, ...] | None = Field(
        default=None, description="The likeliest at each position, one position after the other."
    )
    top_logprobs: tuple[float, ...] | None = None


class JobAnswer(BaseModel):
    """Where a job stands; its rows, from `first_row` on, when it is finished, and `error` when it
    failed. What is not known yet is left out."""

    id: str
    object: Literal["job"] = "job"
    status: JobStatus
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int | None = None
    rows: list[RowAnswer] | None = None
    prompt_logprobs: tuple[float, ...] | None = None
    provenance: Provenance | None = Field(
        default=None, description="What is needed to sample the same rows again."
    )
    error: ErrorDetail | None = None


class Withdrawn(BaseModel):
    """A job that was under way is `cancelled` and can still be read; one that had ended is
    `deleted`, with its rows."""

    id: str
    object: Literal["job"] = "job"
    cancelled: bool
    deleted: bool


class DeltaEvent(BaseModel):
    """The next tokens of one row; the event's name is `delta`."""

    row: int = Field(description="Its index, from the job's first_row on.")
    start: int = Field(description="How many tokens of the row came before.")
    tokens: tuple[int, ...]
    masks: tuple[int, ...]
    text: str | None = None
    logprobs: tuple[float, ...] | None = None
    top_tokens: tuple[int, ...] | None = None
    top_logprobs: tuple[float, ...] | None = None
    finish_reason: Literal["stop", "length"] | None = Field(
        default=None, description="In the last event of the row alone."
    )


def answer_of(
    info: JobInfo, outcome: SampledRows | JobsError | None, tokenizer: Tokenizer | None
) -> JobAnswer:
    """`outcome`: None of a job that is under way."""
    answer = JobAnswer(
        id=info.job_id,
        status=info.status,
        created_at=info.created_at,
        started_at=info.started_at,
        ended_at=info.ended_at,
        attempts=info.attempts,
    )
    match outcome:
        case None:
            return answer
        case SampledRows():
            its = {
                "rows": [_row(row, tokenizer) for row in outcome.rows],
                "prompt_logprobs": outcome.prompt_logprobs,
                "provenance": outcome.provenance,
            }
            return answer.model_copy(update=its)
        case error:
            told = ErrorDetail(**api_error(error).body()["error"])
            return answer.model_copy(update={"error": told})


def _row(row: Row, tokenizer: Tokenizer | None) -> RowAnswer:
    fields = row.model_dump()
    if row.text is None and tokenizer is not None:
        fields["text"] = _text(row, tokenizer)
    return RowAnswer(**fields)


def _text(row: Row, tokenizer: Tokenizer) -> str | None:
    try:
        return tokenizer.decode(row.tokens)
    except (KeyError, ValueError, OverflowError):  # another model's rows: not of this vocabulary
        return None
