"""Batch: where one stands."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from gateway.batches.expires_after import ExpiresAfter

Endpoint = Literal["/v1/completions", "/v1/chat/completions"]
Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
Ending = Literal["completed", "expired", "cancelled"]
ENDED = frozenset({"failed", "completed", "expired", "cancelled"})
_PRIVATE = {
    "tenant",
    "queue",
    "deadline",
    "served",
    "ends_as",
    "planned_output_id",
    "planned_error_id",
    "output_expires_after",
}


class RequestCounts(BaseModel):
    """Lines. Those that were not run, as the batch expired or was cancelled, are in `total`
    alone.
    """

    model_config = ConfigDict(frozen=True)

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchError(BaseModel):
    """What is wrong with an input file: at which line, from 1, and in which field."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Batch(BaseModel):
    """What batch.json holds; written by who holds the batch's lock alone.

    The private fields: whose it is, and in which queue its jobs stand; `deadline`: when it expires,
    to the fraction; `served`: the model and tokenizer that it began with; `ends_as`:
    what it will be once its files are written, and what these will be called.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    endpoint: Endpoint
    input_file_id: str
    completion_window: str = "24h"
    status: Status = "validating"
    created_at: int
    expires_at: int
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[BatchError, ...] = ()
    request_counts: RequestCounts = RequestCounts()
    metadata: dict[str, str] | None = None

    tenant: str | None
    queue: str
    deadline: float
    served: str | None = None
    ends_as: Ending | None = None
    planned_output_id: str | None = None
    planned_error_id: str | None = None
    output_expires_after: ExpiresAfter | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_late(self) -> bool:
        """Whether it is to expire, if it has not ended."""
        return time.time() >= self.deadline

    def view(self) -> dict[str, Any]:
        """As callers see it."""
        shown = self.model_dump(exclude=_PRIVATE)
        errors = {"object": "list", "data": shown["errors"]} if self.errors else None
        return {**shown, "object": "batch", "errors": errors}
