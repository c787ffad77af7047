"""Claim and Outcome: a job that a worker holds, and what became of it."""

from __future__ import annotations

import dataclasses
import time
from typing import Literal

from engine import RequestResult

Status = Literal["finished", "failed", "stopped", "lost"]
"""`lost`: the job is no longer the claim's; there is nothing to store, only to tidy up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this worker holds, as it stood in the queue."""

    queue: str
    """Where the job stood; a tenant's is `<queue>@<tenant>`."""
    job_id: str
    execution_id: str
    payload: bytes
    """RQ's `data` field, as it is."""
    timeout: float | None
    """Seconds that the job may run; None: for ever."""
    deadline: float | None
    """Unix time by which the job has to be done."""
    created_at: float | None
    """Unix time by its producer's clock."""
    claimed_at: float
    """Unix time by the server's clock."""
    is_alone: bool
    """Whether nothing may run beside it: an attempt before this one took its worker down."""
    num_samples: float | None = None
    """The rows that it was counted for; None: its producer did not say, and it counted for one."""
    has_reply_list: bool = False
    """Whether the server knows of the job's reply list."""
    has_webhook: bool = False
    """Whether the server knows of the job's webhook."""
    callbacks: tuple[str, ...] = ()
    """Names of RQ's callbacks that it carries, which Rowmill does not run."""
    attempt: int = 1
    """Which one this is; those that were given back do not count."""
    received_at: float = dataclasses.field(default_factory=time.monotonic)
    """By this process's clock."""

    def server_time(self, moment: float) -> float:
        """When it is by the server's clock at a moment of this process's after the claim."""
        return self.claimed_at + moment - self.received_at

    @property
    def log_fields(self) -> dict[str, object]:
        """What a log line about it carries."""
        queue, _, tenant = self.queue.partition("@")
        fields = {"job_id": self.job_id, "queue": queue, "execution_id": self.execution_id}
        return {**fields, "attempt": self.attempt, **({"tenant": tenant} if tenant else {})}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a claim; `value` is the wire form of the rows, or a reason as text."""

    claim: Claim
    status: Status
    value: bytes | str = ""
    result: RequestResult | None = None
    """What the rows are from, for who counts them."""
    done_at: float = dataclasses.field(default_factory=time.monotonic)
    """When the engine was done with it, by this process's clock."""

    @property
    def log_fields(self) -> dict[str, object]:
        """What a log line about it carries."""
        return {**self.claim.log_fields, "status": self.status}
