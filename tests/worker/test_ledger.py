"""Every queued job is one worker's at a time, and its outcome counts once."""

from __future__ import annotations

from collections import Counter

import pytest
import redis
from rq import Queue

from jobs import Client, JobStatus, MsgpackSerializer
from tests.jobs.rq_worker import fetch
from tests.worker.conftest import MakeLedger, at_once, finished, queued_ids
from worker.claim import Claim, Outcome
from worker.ledger import Ledger

JOB = {"prompt_tokens": [1]}


def _ids(claims: list[Claim]) -> list[str]:
    return [claim.job_id for claim in claims]


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger("w1")


def test_a_claim_takes_whole_jobs_until_the_rows_are_filled(client: Client, ledger: Ledger) -> None:
    jobs = [{**JOB, "num_samples": number} for number in (3, 1, 4, 1)]
    job_ids = client.submit_many(jobs)

    assert _ids(ledger.claim(4, is_idle=True)) == job_ids[:2]
    assert _ids(ledger.claim(1, is_idle=True)) == job_ids[2:3], (
        "more rows than asked for: a job is not split"
    )
    assert _ids(ledger.claim(100, is_idle=True)) == job_ids[3:]
    assert ledger.claim(100, is_idle=True) == []


def test_what_is_no_queued_job_is_passed_over_and_the_rest_keeps_its_order(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    first, cancelled, deleted, last = client.submit_many([JOB] * 4)
    client.cancel(cancelled)
    connection.delete(f"rq:job:{deleted}")
    connection.set("rq:job:no-hash", "something else")
    connection.hset(b"rq:job:\xff", "status", "queued")
    for stray in (cancelled, first, b"\xfe", b"\xff", "no-hash", "no-job"):
        connection.rpush(f"rq:queue:{queue}", stray)

    assert _ids(ledger.claim(100, is_idle=True)) == [first, last]
    assert queued_ids(connection, queue) == []
    assert client.status(cancelled) is JobStatus.CANCELLED
    assert connection.hget(b"rq:job:\xff", "status") == b"failed", "no worker can answer for it"


def test_a_job_whose_id_stands_in_the_queue_twice_runs_once(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger
) -> None:
    (job_id,) = client.submit_many([JOB])
    connection.rpush(f"rq:queue:{queue}", job_id)

    assert _ids(make_ledger("w1").claim(1, is_idle=True)) == [job_id]
    assert make_ledger("w2").claim(1, is_idle=True) == []


def test_a_suspended_queue_gives_nothing_and_loses_nothing(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    connection.set("rq:suspended", 1)
    assert ledger.claim(100, is_idle=True) == []
    assert queued_ids(connection, queue) == job_ids

    connection.delete("rq:suspended")
    assert _ids(ledger.claim(100, is_idle=True)) == job_ids


def test_claims_at_once_give_no_job_twice_and_lose_none(
    client: Client, make_ledger: MakeLedger
) -> None:
    job_ids = client.submit_many([{**JOB, "num_samples": 1 + n % 5} for n in range(300)])
    ledgers = [make_ledger(f"w{n // 2}") for n in range(6)]  # two threads on each worker's name
    claimed: list[Claim] = []

    def claim_all(ledger: Ledger) -> None:
        while claims := ledger.claim(7, is_idle=True):
            claimed.extend(claims)

    at_once(*(lambda ledger=ledger: claim_all(ledger) for ledger in ledgers))

    assert Counter(_ids(claimed)) == Counter(job_ids)
    assert len({claim.execution_id for claim in claimed}) == 300


def test_an_outcome_counts_once(client: Client, connection: redis.Redis, ledger: Ledger) -> None:
    client.submit_many([JOB])
    (claim,) = ledger.claim(1, is_idle=True)

    assert ledger.finish([finished(claim, 1)]) == [True]
    late = Outcome(claim=claim, status="failed", value="too late")
    assert ledger.finish([finished(claim, 1), late]) == [True, True], "it is stored already"
    assert client.result(claim.job_id, timeout=0).rows[0].tokens == (1,)
    assert connection.xlen(f"rq:results:{claim.job_id}") == 1


def test_a_job_that_is_pushed_again_stands_in_the_registry_of_its_last_end(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    job_id = client.submit(prompt_tokens=[1])
    for status in ("finished", "failed", "finished"):
        (claim,) = ledger.claim(1, is_idle=True)
        value = finished(claim, 1).value if status == "finished" else "bad"
        ledger.finish([Outcome(claim=claim, status=status, value=value)])
        registries = {
            "finished": rq_queue.finished_job_registry,
            "failed": rq_queue.failed_job_registry,
        }
        found = {name for name, registry in registries.items() if job_id in registry}
        assert found == {status}
        rq_queue.enqueue_job(fetch(connection, job_id))


def test_an_outcome_does_not_count_after_a_cancellation(client: Client, ledger: Ledger) -> None:
    client.submit_many([JOB])
    (claim,) = ledger.claim(1, is_idle=True)
    client.cancel(claim.job_id)

    assert ledger.heartbeat([claim]) == {claim.execution_id}
    assert ledger.finish([finished(claim, 1)]) == [False]
    assert client.status(claim.job_id) is JobStatus.CANCELLED


def test_an_outcome_brings_no_deleted_job_back(
    client: Client, connection: redis.Redis, ledger: Ledger
) -> None:
    (job_id,) = client.submit_many([JOB])
    claims = ledger.claim(1, is_idle=True)
    connection.delete(f"rq:job:{job_id}")

    assert ledger.finish([finished(claims[0], 1)]) == [False]
    assert connection.keys(f"rq:*{job_id}*") == []
