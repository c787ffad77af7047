"""A job outlives its worker: what a dead one held goes back, what a late one brings is dropped."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import redis
from rq import Queue, Retry

from jobs import FUNCTION_NAME, Client, JobFailedError, JobStatus, MsgpackSerializer
from tests.jobs.rq_worker import fetch
from tests.worker.conftest import MakeCaretaker, MakeLedger, at_once, finished, queued_ids
from worker.claim import Outcome

JOB = {"prompt_tokens": [1]}


def _running_ids(connection: redis.Redis, queue: str) -> list[str]:
    """In the order in which their leases end."""
    raw: Any = connection.zrange(f"rq:wip:{queue}", 0, -1)
    return [composite.decode().split(":")[0] for composite in raw]


def test_two_that_recover_at_once_requeue_each_job_once_at_the_head_and_in_order(
    client: Client,
    connection: redis.Redis,
    queue: str,
    make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:
    dead = make_ledger("dead")
    job_ids = client.submit_many([JOB] * 250)
    claims = dead.claim(150, is_idle=True) + dead.claim(90, is_idle=False)
    assert _running_ids(connection, queue) == job_ids[:240]
    dead.heartbeat(claims)
    assert _running_ids(connection, queue) == job_ids[:240]
    dead.expire(claims)

    alive = [make_caretaker(name) for name in ("w1", "w2")]
    at_once(*(lambda its=its: its.recover(queue) for its in alive))

    assert queued_ids(connection, queue) == job_ids
    lefts = [connection.hget(f"rq:job:{job_id}", "retries_left") for job_id in job_ids]
    assert lefts == [b"1"] * 240 + [b"2"] * 10
    assert connection.zcard(f"rq:wip:{queue}") == 0


def test_a_job_is_tried_again_at_once_then_later_and_then_fails(
    url: str,
    connection: redis.Redis,
    queue: str,
    make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:
    dead, alive = make_ledger("dead"), make_caretaker("w1")

    def die() -> None:
        dead.expire(dead.claim(1, is_idle=True))
        alive.recover(queue)

    with Client(url, queue, max_attempts=5) as client:
        job_id = client.submit(**JOB)
        die()
        assert queued_ids(connection, queue) == [job_id]
        for wait in (1, 2, 4):
            die()
            assert queued_ids(connection, queue) == []
            assert client.status(job_id) is JobStatus.QUEUED
            due: Any = connection.zscore(f"rq:scheduled:{queue}", job_id)
            now: Any = connection.time()
            assert wait - 1 < due - now[0] < wait + 1
            alive.recover(queue)
            assert queued_ids(connection, queue) == [], "not yet"
            connection.zadd(f"rq:scheduled:{queue}", {job_id: 1})
            alive.recover(queue)
            assert queued_ids(connection, queue) == [job_id]
        die()
        with pytest.raises(JobFailedError, match="no attempt is left"):
            client.result(job_id, timeout=0)
    assert connection.xlen(f"rq:results:{job_id}") == 1
    assert connection.zrange(f"rq:failed:{queue}", 0, -1) == [job_id.encode()]

    fetch(connection, job_id).requeue()
    assert [claim.is_alone for claim in dead.claim(9, is_idle=True)] == [True], "still a suspect"


def test_retry_intervals_of_rq_are_kept(
    connection: redis.Redis, queue: str, make_ledger: MakeLedger, make_caretaker: MakeCaretaker
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    job = rq_queue.enqueue(FUNCTION_NAME, retry=Retry(max=2, interval=[30, 70]), kwargs=JOB)
    ledger = make_ledger("dead")
    for wait in (30, 70):
        ledger.expire(ledger.claim(1, is_idle=True))
        make_caretaker("w").recover(queue)
        due: Any = connection.zscore(f"rq:scheduled:{queue}", job.id)
        now: Any = connection.time()
        assert wait - 1 < due - now[0] < wait + 1
        connection.zadd(f"rq:scheduled:{queue}", {job.id: 1})
        make_caretaker("w").recover(queue)


def test_an_outcome_does_not_count_once_the_job_is_another_execution_s(
    client: Client,
    connection: redis.Redis,
    queue: str,
    make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:
    slow, quick = make_ledger("slow"), make_ledger("quick")
    (job_id,) = client.submit_many([JOB])
    (old,) = slow.claim(1, is_idle=True)
    assert slow.heartbeat([old]) == set()
    slow.expire([old])
    make_caretaker("w").recover(queue)
    assert slow.finish([finished(old, 1)]) == [False], "nobody runs it now"
    (new,) = quick.claim(1, is_idle=True)
    assert slow.heartbeat([old]) == {old.execution_id}
    assert slow.finish([finished(old, 1)]) == [False]
    assert slow.give_back([old]) == 0
    assert quick.finish([finished(new, 2)]) == [True]

    assert client.result(job_id, timeout=0).rows[0].tokens == (2,)
    assert connection.xlen(f"rq:results:{job_id}") == 1


def test_what_is_given_back_stands_in_its_old_order_and_was_no_attempt(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger
) -> None:
    job_ids = client.submit_many([JOB] * 6)
    ledger = make_ledger("w1")
    claims = ledger.claim(4, is_idle=True)
    assert ledger.finish([finished(claims[1], 1)]) == [True]

    assert ledger.give_back(claims) == 3, "one is done"
    assert queued_ids(connection, queue) == [job_ids[0], *job_ids[2:]]
    assert {connection.hget(f"rq:job:{job_id}", "retries_left") for job_id in job_ids} == {b"2"}
    assert [claim.job_id for claim in make_ledger("w2").claim(100, is_idle=True)] == [
        job_ids[0],
        *job_ids[2:],
    ]


def test_no_trace_of_an_execution_outlives_it(
    client: Client,
    connection: redis.Redis,
    queue: str,
    make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:
    one, other = make_ledger("w1"), make_ledger("w2")
    job_ids = client.submit_many([JOB] * 8)
    done, failing, cancelled, returned, *abandoned = one.claim(7, is_idle=True)
    one.heartbeat([done, failing, cancelled, returned, *abandoned])
    client.cancel(cancelled.job_id)
    one.give_back([returned])
    one.expire(abandoned)
    make_caretaker("w").recover(queue)
    assert len(connection.keys("rq:execution*")) > 0

    one.finish([finished(done, 1), Outcome(claim=failing, status="failed", value="bad")])
    one.finish([finished(claim, 1) for claim in (cancelled, *abandoned)])
    while claims := other.claim(100, is_idle=True):  # suspects come one by one
        other.finish([finished(claim, 2) for claim in claims])

    ends = Counter(client.status(job_id) for job_id in job_ids)
    assert ends == {JobStatus.FINISHED: 6, JobStatus.FAILED: 1, JobStatus.CANCELLED: 1}
    left = [*connection.keys("rq:execution*"), *connection.keys("rq:worker:*:executions")]
    assert left + connection.keys("rq:wip:*") == []


def test_an_entry_that_no_worker_made_stops_no_recovery(
    connection: redis.Redis, queue: str, make_caretaker: MakeCaretaker
) -> None:
    connection.zadd(f"rq:wip:{queue}", {"no-colon": 1, "some:thing": 2})
    make_caretaker("w").recover(queue)
    assert connection.zcard(f"rq:wip:{queue}") == 0
