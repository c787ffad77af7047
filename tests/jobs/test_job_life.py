"""A job's life is read from what the server noted, whatever else stands there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import JobLife, JobStatus, LifeEvent, LifeEventKind
from jobs.life_event import MOST_BYTES, parse_events

WORKERS = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
TIMES = st.integers(0, 10**16).map(lambda micros: micros / 1e6)
KINDS = st.sampled_from(sorted(LifeEventKind))


def entry(kind: str, at: object, worker: str = "", execution: str = "", detail: object = "") -> str:
    """As `lived` in layout.lua writes it."""
    return f"{kind},{at},{worker},{execution},{detail};"


def life(status: JobStatus, *entries: str, now: float = 100.0, **fields: float) -> JobLife:
    events, num_cut = parse_events("".join(entries).encode())
    return JobLife(job_id="a", status=status, now=now, events=events, num_cut=num_cut, **fields)


@given(st.lists(st.tuples(KINDS, TIMES, WORKERS, WORKERS, st.integers(0, 99)), max_size=20))
def test_what_the_scripts_note_reads_back(
    noted: list[tuple[LifeEventKind, float, str, str, int]],
) -> None:
    once = {LifeEventKind.LATE, LifeEventKind.DROPPED}
    raw = "".join(
        entry(kind, f"{at:.6f}", worker, f"{execution}.{index}", detail)
        for index, (kind, at, worker, execution, detail) in enumerate(noted)
    )
    if len(raw) > MOST_BYTES:
        return
    events, num_cut = parse_events(raw.encode())

    assert num_cut == 0
    assert [(it.kind, it.worker) for it in events] == [(kind, its) for kind, _, its, *_ in noted]
    for event, (kind, at, _, _, detail) in zip(events, noted, strict=True):
        assert event.at == pytest.approx(at, abs=1e-5)
        assert event.attempt == (detail if kind is LifeEventKind.CLAIMED else None)
        assert event.brought == (str(detail) if kind in once - {LifeEventKind.DROPPED} else None)


@given(
    st.binary(max_size=3 * MOST_BYTES)
    | st.text(alphabet="cut,;.0123456789claimedx").map(str.encode)
)
def test_nothing_that_strangers_write_there_fails_or_is_more_than_so_many_events(
    raw: bytes,
) -> None:
    events, num_cut = parse_events(raw)
    its = JobLife(job_id="a", status=JobStatus.RUNNING, now=1.0, events=events, num_cut=num_cut)

    assert len(events) <= 64 and num_cut >= 0
    assert all(math.isfinite(event.at) for event in events)
    assert all(phase.seconds(its.now) >= 0 for phase in its.phases)


def test_a_life_is_waiting_running_and_storing() -> None:
    told = life(
        JobStatus.FINISHED,
        entry("pushed", 10),
        entry("claimed", 12, "w1", "e1", 1),
        entry("lost", 20, "w1", "e1"),
        entry("claimed", 25, "w2", "e2", 2),
        entry("returned", 26, "w2", "e2"),
        entry("claimed", 30, "w3", "e3", 2),
        entry("late", 31, "w1", "e1", "finished"),
        entry("finished", 40, "w3", "e3", 39),
        now=100,
    )
    phases = [(it.kind, it.start, it.end, it.worker, it.attempt) for it in told.phases]
    assert phases == [
        ("waiting", 10, 12, None, None),
        ("running", 12, 20, "w1", 1),
        ("waiting", 20, 25, None, None),
        ("running", 25, 26, "w2", 2),
        ("waiting", 26, 30, None, None),
        ("running", 30, 39, "w3", 2),
        ("storing", 39, 40, "w3", 2),
    ]
    (late,) = (event for event in told.events if event.kind is LifeEventKind.LATE)
    assert late == LifeEvent(
        kind=LifeEventKind.LATE, at=31, worker="w1", execution_id="e1", brought="finished"
    )


def test_an_outcome_that_was_sent_twice_came_late_once() -> None:
    late = entry("late", 31, "w1", "e1", "finished")
    assert len(life(JobStatus.CANCELLED, late, late.replace("31", "32")).events) == 1


def test_a_phase_that_lasts_is_counted_until_now() -> None:
    (waits,) = life(JobStatus.QUEUED, entry("pushed", 90), now=100).phases
    assert (waits.kind, waits.end, waits.seconds(100)) == ("waiting", None, 10)
    *_, runs = life(JobStatus.RUNNING, entry("claimed", 95, "w1", "e1", 1), now=100).phases
    assert (runs.kind, runs.end, runs.seconds(100)) == ("running", None, 5)


def test_a_job_of_plain_rq_waits_from_its_creation() -> None:
    told = life(JobStatus.RUNNING, entry("claimed", 95, "w1", "e1", 1), created_at=90.0)
    assert [(it.kind, it.start) for it in told.phases] == [("waiting", 90), ("running", 95)]
    # A producer's clock that is ahead makes no time negative.
    told = life(JobStatus.RUNNING, entry("claimed", 95, "w1", "e1", 1), created_at=99.0)
    assert told.phases[0].seconds(told.now) == 0


def test_a_job_that_rq_requeued_after_its_end_waits_again() -> None:
    entries = [entry("claimed", 10, "w1", "e1", 1), entry("failed", 20, "w1", "e1", 19)]
    told = life(JobStatus.QUEUED, *entries, enqueued_at=50.0)
    assert [it.kind for it in told.phases] == ["running", "storing", "waiting"]
    assert told.phases[-1].start == 50


def test_a_life_whose_beginning_was_cut_says_so() -> None:
    told = life(JobStatus.QUEUED, "cut,7;", entry("lost", 5, "w1", "e1"), created_at=1.0)
    assert told.num_cut == 7
    assert [(it.kind, it.start) for it in told.phases] == [("waiting", 5)]
