"""LifePhase: a stretch of a job's life, and how they follow from its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.job_status import JobStatus
from jobs.life_event import LifeEvent, LifeEventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LifePhase:
    """A stretch of a job's life. `end` is None of the one that lasts. `worker` and `attempt` are
    those of running and storing; `ended_by`: how it ended."""

    kind: Literal["waiting", "running", "storing"]
    start: float
    end: float | None
    worker: str | None = None
    attempt: int | None = None
    ended_by: LifeEventKind | None = None

    def seconds(self, now: float) -> float:
        """How long it was, or has been until `now`; two clocks never make it negative."""
        return max(0.0, (now if self.end is None else self.end) - self.start)


def phases_of(
    events: Sequence[LifeEvent],
    status: JobStatus,
    *,
    pushed_at: float | None,
    enqueued_at: float | None,
) -> Iterator[LifePhase]:
    """The phases of a job that stands so now, in their order.

    `pushed_at` and `enqueued_at`, the last time that it was put on a queue: for where no event
    tells, as plain RQ notes none.
    """
    start, claim = pushed_at, None
    for event in events:
        match event.kind:
            case LifeEventKind.PUSHED:
                start = event.at
            case LifeEventKind.DUE:
                # A job for later begins to wait now, a retry when its worker was lost.
                start = event.at if start is None or start == pushed_at else start
            case LifeEventKind.CLAIMED:
                if start is not None:
                    yield LifePhase(kind="waiting", start=start, end=event.at)
                start, claim = None, event
            case LifeEventKind.RETURNED | LifeEventKind.LOST:
                if claim is not None:
                    yield _running(claim, event.at, event.kind)
                start, claim = event.at, None
            case LifeEventKind.LATE | LifeEventKind.DROPPED:
                pass  # of an execution that had lost the job before
            case _:
                yield from _last(start, claim, event)
                start, claim = None, None
    since = enqueued_at if start is None else start
    if status is JobStatus.RUNNING and claim is not None:
        yield _running(claim, None, None)
    elif status is JobStatus.QUEUED and since is not None:
        yield LifePhase(kind="waiting", start=since, end=None)


def _running(claim: LifeEvent, end: float | None, by: LifeEventKind | None) -> LifePhase:
    return LifePhase(
        kind="running",
        start=claim.at,
        end=end,
        worker=claim.worker,
        attempt=claim.attempt,
        ended_by=by,
    )


def _last(start: float | None, claim: LifeEvent | None, end: LifeEvent) -> Iterator[LifePhase]:
    """What a job's end ends."""
    if claim is None:
        if start is not None:
            yield LifePhase(kind="waiting", start=start, end=end.at, ended_by=end.kind)
    elif end.rows_at is None or not claim.at <= end.rows_at <= end.at:
        yield _running(claim, end.at, end.kind)
    else:
        yield _running(claim, end.rows_at, end.kind)
        yield LifePhase(
            kind="storing",
            start=end.rows_at,
            end=end.at,
            worker=claim.worker,
            attempt=claim.attempt,
        )
