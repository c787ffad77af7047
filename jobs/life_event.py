"""LifeEvent: something that happened to a job, and how the server's notes of it are read.

Every step that moves a job notes it in the field `life` of the job's hash (`lua/layout.lua`). The
field goes with the job and holds the last thirty events or so. Anybody who may push may write
anything into it: what can't be read is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobs.field_reading import count_of, moment_of
from jobs.names import is_name

MOST_BYTES = 4096
"""Of what is read; the scripts keep it shorter."""
_MOST_EVENTS = 64


class LifeEventKind(StrEnum):
    """What happened.

    Of an execution, with its worker: `claimed`, `returned` (given back, uncounted), `lost` (its
    lease ended: the worker died or was cut off), `late` (it brought an outcome that counts no
    more), `dropped` (it stopped, as the job was no longer its own), and the ends `finished`,
    `failed` and `stopped`. Of the job: `pushed`, `due` (put on the queue at its time), `cancelled`.
    """

    PUSHED = "pushed"
    DUE = "due"
    CLAIMED = "claimed"
    RETURNED = "returned"
    LOST = "lost"
    LATE = "late"
    DROPPED = "dropped"
    CANCELLED = "cancelled"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


ENDS = {
    LifeEventKind.CANCELLED,
    LifeEventKind.FINISHED,
    LifeEventKind.FAILED,
    LifeEventKind.STOPPED,
}
_ONCE = {LifeEventKind.LATE, LifeEventKind.DROPPED}
_KINDS = {kind.value: kind for kind in LifeEventKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeEvent:
    """One event. `at`: Unix time by the server's clock. `attempt`: of `claimed`, which one it is.
    `brought`: of `late`, the outcome that was dropped. `rows_at`: of an end, when the engine was
    done; the time until `at` went into storing the outcome."""

    kind: LifeEventKind
    at: float
    worker: str | None = None
    execution_id: str | None = None
    attempt: int | None = None
    brought: str | None = None
    rows_at: float | None = None


def parse_events(raw: bytes | None) -> tuple[tuple[LifeEvent, ...], int]:
    """The events in a job's field, and how many before them were cut. Never raises."""
    entries = (raw or b"")[-MOST_BYTES:].decode("ascii", "replace").split(";")
    num_cut = 0
    events: list[LifeEvent] = []
    for entry in entries:
        kind, *rest = entry.split(",")
        if kind == "cut" and len(rest) == 1:
            num_cut = count_of(rest[0]) or 0
        elif (event := _event(kind, rest)) is not None and not _is_repeated(event, events):
            events.append(event)
    kept = events[-_MOST_EVENTS:]
    return tuple(kept), num_cut + len(events) - len(kept)


def _event(kind: str, rest: Sequence[str]) -> LifeEvent | None:
    if kind not in _KINDS or len(rest) != 4:
        return None
    at, worker, execution_id, detail = rest
    time = moment_of(at)
    if time is None:
        return None
    its = _KINDS[kind]
    return LifeEvent(
        kind=its,
        at=time,
        worker=worker if is_name(worker) else None,
        execution_id=execution_id if is_name(execution_id) else None,
        attempt=count_of(detail) if its is LifeEventKind.CLAIMED else None,
        brought=detail if its is LifeEventKind.LATE and is_name(detail) else None,
        rows_at=moment_of(detail) if its in ENDS else None,
    )


def _is_repeated(event: LifeEvent, events: Sequence[LifeEvent]) -> bool:
    """Whether it was noted before: its worker sends an outcome again whose answer was lost."""
    return event.kind in _ONCE and any(
        (it.kind, it.execution_id) == (event.kind, event.execution_id) for it in events
    )
