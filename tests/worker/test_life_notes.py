"""The server notes what becomes of a job in the very step that does it."""

from __future__ import annotations

from typing import Any

import redis

from jobs import Client, LifeEvent
from jobs.life_event import MOST_BYTES, parse_events
from tests.worker.conftest import MakeCaretaker, MakeLedger, finished
from worker.claim import Outcome


def _raw(connection: redis.Redis, job_id: str) -> bytes:
    field: Any = connection.hget(f"rq:job:{job_id}", "life")
    return bytes(field or b"")


def _events(connection: redis.Redis, job_id: str) -> list[LifeEvent]:
    return list(parse_events(_raw(connection, job_id))[0])


def _told(connection: redis.Redis, job_id: str) -> list[tuple[str, str | None]]:
    return [(event.kind.value, event.worker) for event in _events(connection, job_id)]


def test_a_job_s_way_to_its_end_is_noted(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_id, ledger = client.submit(prompt_tokens=[1]), make_ledger("w1")
    (claim,) = ledger.claim(1, is_idle=True)
    outcome = finished(claim, 1)
    ledger.finish([outcome])

    events = _events(connection, job_id)
    assert [event.kind for event in events] == ["pushed", "claimed", "finished"]
    pushed, claimed, end = events
    assert claim.attempt == 1
    assert (claimed.worker, claimed.execution_id, claimed.attempt) == ("w1", claim.execution_id, 1)
    assert (end.worker, end.execution_id) == ("w1", claim.execution_id)
    assert end.rows_at is not None
    assert pushed.at <= claimed.at <= end.rows_at <= end.at


def test_losing_a_worker_its_late_result_and_a_second_attempt_are_noted(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger, make_caretaker: MakeCaretaker
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    first, second = make_ledger("w1"), make_ledger("w2")
    (claim,) = first.claim(1, is_idle=True)
    first.expire([claim])
    make_caretaker("w2").recover(claim.queue)
    (again,) = second.claim(1, is_idle=True)
    assert again.attempt == 2
    late = finished(claim, 1)
    assert first.finish([late]) == [False]
    assert first.finish([late]) == [False], "sent again, as the answer was lost"
    second.finish([finished(again, 1)])

    ways = ["pushed", "claimed", "lost", "claimed", "late", "finished"]
    who = [None, "w1", "w1", "w2", "w1", "w2"]
    assert _told(connection, job_id) == list(zip(ways, who, strict=True))


def test_giving_back_and_cancelling_are_noted(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_id, ledger = client.submit(prompt_tokens=[1]), make_ledger("w1")
    ledger.give_back(ledger.claim(1, is_idle=True))
    (claim,) = ledger.claim(1, is_idle=True)
    client.cancel(job_id)
    ledger.finish([Outcome(claim=claim, status="lost")])

    ways = ["pushed", "claimed", "returned", "claimed", "cancelled", "dropped"]
    assert [kind for kind, _ in _told(connection, job_id)] == ways


def test_what_comes_late_for_a_job_that_was_deleted_leaves_nothing(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_id, ledger = client.submit(prompt_tokens=[1]), make_ledger("w1")
    (claim,) = ledger.claim(1, is_idle=True)
    client.cancel(job_id)
    client.delete([job_id])
    assert ledger.finish([finished(claim, 1)]) == [False]
    assert not connection.exists(f"rq:job:{job_id}")


def test_what_comes_late_where_something_else_stands_is_dropped_as_ever(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_id, ledger = client.submit(prompt_tokens=[1]), make_ledger("w1")
    (claim,) = ledger.claim(1, is_idle=True)
    client.cancel(job_id)
    connection.delete(f"rq:job:{job_id}")
    connection.set(f"rq:job:{job_id}", "no hash")
    assert ledger.finish([finished(claim, 1)]) == [False]
    assert not connection.exists("rq:worker:w1:executions")


def test_a_long_life_loses_its_beginning_and_says_how_much(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_id, ledger = client.submit(prompt_tokens=[1]), make_ledger("w" * 32)
    for turn in range(40):
        ledger.give_back(ledger.claim(1, is_idle=True))
        events, num_cut = parse_events(_raw(connection, job_id))
        assert len(events) + num_cut == 1 + 2 * (turn + 1)
        assert len(_raw(connection, job_id)) <= MOST_BYTES
    assert num_cut > 0
    assert [event.kind for event in events[-2:]] == ["claimed", "returned"]
    assert len(events) >= 20


def test_what_strangers_put_in_the_place_of_a_life_stays_in_bounds(
    client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    ledger = make_ledger("w1")
    for life in (
        b"x" * 100_000,
        b";" * 3000,
        b"cut,99999999999999;" * 150,
        b"\xff\x00,,;",
        b"cut,",
    ):
        job_id = client.submit(prompt_tokens=[1])
        connection.hset(f"rq:job:{job_id}", "life", life)
        for _ in range(3):
            ledger.give_back(ledger.claim(1, is_idle=True))
        (claim,) = ledger.claim(1, is_idle=True)
        assert ledger.finish([finished(claim, 1)]) == [True]
        assert len(_raw(connection, job_id)) <= MOST_BYTES
        assert _events(connection, job_id)[-1].kind == "finished"
