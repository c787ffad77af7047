"""What became of jobs is counted once, by whoever had a hand in it."""

from __future__ import annotations

import pytest
import redis

from engine import RequestResult, RequestTimes, RowResult
from jobs import Client
from tests.worker.conftest import MakeLedger
from worker.caretaker import Caretaker
from worker.claim import Claim
from worker.claims import Claims
from worker.finalizer import Finalizer
from worker.follow_ups import FollowUps
from worker.ledger import Ledger
from worker.metrics.meter import Meter

JOB = {"prompt_tokens": [1]}


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger("w1")


def caretaker(connection: redis.Redis, queue: str, meter: Meter) -> Caretaker:
    return Caretaker(
        connection,
        (queue,),
        "w2",
        FollowUps(connection),
        interval=1,
        failure_ttl=60,
        max_attempts=3,
        meter=meter,
    )


def result(times: RequestTimes | None = None) -> RequestResult:
    rows = [RowResult([1, 2], [1, 1], "stop"), RowResult([1], [1], "length")]
    return RequestResult("r", rows, times=times)


def settle(ledger: Ledger, meter: Meter, *items: tuple[Claim, RequestResult | str]) -> None:
    claims = Claims()
    finalizer = Finalizer(ledger, claims, meter)
    claims.add(claim for claim, _ in items)
    for claim, outcome in items:
        if isinstance(outcome, str):
            finalizer.fail(claim, outcome)
        else:
            finalizer.finish(claim, outcome)
    finalizer.close()
    finalizer.start()
    assert finalizer.join(60)


def test_outcomes_count_by_how_they_ended_and_rows_by_their_reason(
    client: Client, ledger: Ledger, meter: Meter
) -> None:
    client.submit_many([JOB] * 3)
    first, second, third = ledger.claim(3, is_idle=True)
    settle(ledger, meter, (first, result()), (second, result()), (third, "a reason"))
    assert meter.jobs == {"finished": 2, "failed": 1, "stopped": 0}
    assert meter.rows == {"stop": 2, "length": 2}
    assert meter.late_results == 0


def test_what_is_fenced_off_counts_as_late_and_as_nothing_else(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, meter: Meter
) -> None:
    client.submit(**JOB)
    (claim,) = ledger.claim(1, is_idle=True)
    ledger.expire([claim])
    caretaker(connection, queue, meter).recover(queue)
    assert (meter.requeued_jobs, meter.abandoned_jobs) == (1, 0)
    settle(ledger, meter, (claim, result()))
    assert meter.late_results == 1
    assert not any(meter.jobs.values()) and not any(meter.rows.values())


def test_an_attempt_after_a_death_is_a_retry_and_one_after_a_give_back_is_none(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, meter: Meter
) -> None:
    client.submit(**JOB)
    for claim in ledger.claim(1, is_idle=True):
        meter.note_claim(claim)
        ledger.give_back([claim])
    for claim in ledger.claim(1, is_idle=True):
        meter.note_claim(claim)
        ledger.expire([claim])
    assert (meter.claimed_jobs, meter.retries) == (2, 0)
    caretaker(connection, queue, meter).recover(queue)
    for claim in ledger.claim(1, is_idle=True):
        meter.note_claim(claim)
    assert (meter.claimed_jobs, meter.retries) == (3, 1)


def test_only_a_job_without_attempts_left_is_abandoned_and_not_a_late_one(
    url: str, connection: redis.Redis, queue: str, ledger: Ledger, meter: Meter
) -> None:
    with Client(url, queue, max_attempts=1) as client:
        client.submit(**JOB)
        ledger.expire(ledger.claim(1, is_idle=True))
        late = client.submit(**JOB, deadline_seconds=60)
    connection.hset(f"rq:job:{late}", "deadline", 1)
    caretaker(connection, queue, meter).recover(queue)
    assert (meter.abandoned_jobs, meter.requeued_jobs) == (1, 0)


def test_a_job_s_wait_on_the_server_is_part_of_its_times(
    client: Client, connection: redis.Redis, ledger: Ledger, meter: Meter
) -> None:
    job_id = client.submit(**JOB)
    connection.hset(f"rq:job:{job_id}", "created_at", "2020-01-01T00:00:00.000000Z")
    (claim,) = ledger.claim(1, is_idle=True)
    times = RequestTimes(submitted_at=10.0, admitted_at=11.0, first_token_at=13.0, done_at=20.0)
    settle(ledger, meter, (claim, result(times)))
    assert claim.created_at is not None
    waited = claim.claimed_at - claim.created_at
    assert waited > 5 * 365 * 24 * 3600
    assert meter.queue_seconds.counted().total == pytest.approx(waited + 1)
    assert meter.prefill_seconds.counted().total == 2.0
    assert meter.first_token_seconds.counted().total == pytest.approx(waited + 3)
    assert meter.decode_seconds.counted().total == 7.0
    assert meter.request_seconds.counted().total >= waited


def test_a_producer_s_clock_that_is_ahead_makes_no_time_negative(
    client: Client, connection: redis.Redis, ledger: Ledger, meter: Meter
) -> None:
    job_id = client.submit(**JOB)
    connection.hset(f"rq:job:{job_id}", "created_at", "2999-01-01T00:00:00.000000Z")
    (claim,) = ledger.claim(1, is_idle=True)
    times = RequestTimes(submitted_at=10.0, admitted_at=11.0, first_token_at=13.0, done_at=20.0)
    settle(ledger, meter, (claim, result(times)))
    assert meter.queue_seconds.counted().total == 1.0
    assert meter.first_token_seconds.counted().total == 3.0
