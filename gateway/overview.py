"""/overview: what a caller may see of the queue and its workers."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.dependencies import TheCaller, TheServices
from gateway.error_docs import errors, shown
from gateway.errors import ApiError
from jobs import Overview, PermissionDeniedError

router = APIRouter(tags=["Overview"])


class _Seen(BaseModel):
    """Only the fields that are named here go out."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class SeenQueue(_Seen):
    queue: str
    tenant: str | None
    num_waiting: int
    num_running: int
    num_scheduled: int = Field(description="For later, or between two attempts.")
    num_finished: int
    num_failed: int
    num_cancelled: int
    oldest_seconds: float | None = Field(description="How long the first of its jobs waits.")


class SeenWorker(_Seen):
    """Its load is that of all callers together."""

    name: str
    state: str | None
    is_silent: bool = Field(description="It may be dead: its last sign of life is too long ago.")
    running_rows: int | None
    max_rows: int | None
    tokens_per_second: float | None
    kv_tokens: int | None
    kv_budget_tokens: int | None
    reproducible: bool | None = Field(description="Whether its rows can be had again, to the bit.")
    heartbeat_seconds: float | None = Field(description="How long ago its last sign of life was.")


class SeenFailure(_Seen):
    job_id: str
    queue: str
    tenant: str | None
    at: float | None = Field(description="Unix time.")
    reason: str


class Seen(_Seen):
    """`now`: Unix time, by the queue's server. Ended jobs count for as long as it keeps them."""

    now: float
    queues: tuple[SeenQueue, ...]
    workers: tuple[SeenWorker, ...]
    failures: tuple[SeenFailure, ...] = Field(description="The last ones.")
    num_queues_left_out: int
    num_workers_left_out: int

    @classmethod
    def of(cls, overview: Overview) -> Self:
        return cls.model_validate(overview)


_SEEN = {
    "now": 1767225600.5,
    "queues": [
        {
            "queue": "rowmill",
            "tenant": "acme",
            "num_waiting": 3,
            "num_running": 8,
            "num_scheduled": 0,
            "num_finished": 1204,
            "num_failed": 1,
            "num_cancelled": 0,
            "oldest_seconds": 0.8,
        }
    ],
    "workers": [
        {
            "name": "9b2f61c0d4e84a7f",
            "state": "busy",
            "is_silent": False,
            "running_rows": 32,
            "max_rows": 64,
            "tokens_per_second": 1830.4,
            "kv_tokens": 9216,
            "kv_budget_tokens": 65536,
            "reproducible": True,
            "heartbeat_seconds": 1.2,
        }
    ],
    "failures": [
        {
            "job_id": "4f1c",
            "queue": "rowmill",
            "tenant": "acme",
            "at": 1767225540.0,
            "reason": "deadline_seconds: the deadline passed before the job was done",
        }
    ],
    "num_queues_left_out": 0,
    "num_workers_left_out": 0,
}


@router.get(
    "/overview",
    summary="The queue at a glance",
    responses={**shown(_SEEN), **errors(401, 503)},
)
async def get_overview(services: TheServices, caller: TheCaller) -> Seen:
    """Jobs by where they stand, the workers, and what failed last.

    A caller with a key sees its own jobs of its queue, as they were a second ago at most. A
    gateway without keys shows the whole queue.
    """
    try:
        return Seen.of(await services.glances.overview(caller.queue, caller.tenant))
    except PermissionDeniedError as error:
        text = "the gateway's own login at the queue's server may not read what workers tell"
        raise ApiError(503, text, kind="server_error", code="no_overview") from error
