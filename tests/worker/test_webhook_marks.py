"""A job's end and the mark that its webhook is to be sent are one step, however the job ends."""

from __future__ import annotations

import time
import zlib
from base64 import b64decode
from typing import Any

import pytest
import redis
from rq import Queue

from jobs import FUNCTION_NAME, Client, JobStatus, MsgpackSerializer
from tests.worker.conftest import MakeCaretaker, MakeLedger, finished
from worker.claim import Outcome

URL = "https://example.com/hook?a=b"
JOB = {"prompt_tokens": [1], "webhook_url": URL}


def marked(connection: redis.Redis, queue: str) -> list[str]:
    raw: Any = connection.zrange(f"rowmill:webhooks:{queue}", 0, -1)
    return [job_id.decode() for job_id in raw]


def noted(connection: redis.Redis, job_id: str) -> dict[str, str]:
    raw: Any = connection.hgetall(f"rowmill:webhook:{job_id}")
    return {key.decode(): value.decode() for key, value in raw.items()}


def test_each_way_to_end_marks_the_job_and_no_other_does(
    client: Client,
    connection: redis.Redis,
    queue: str,
    make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:
    ledger = make_ledger("w1")
    done = client.submit(**JOB, num_samples=3, tenant="acme")
    failing, stopped, cancelled, abandoned, late, back, silent = client.submit_many(
        [*([JOB] * 6), {"prompt_tokens": [1]}]
    )
    connection.hset(f"rq:job:{abandoned}", "retries_left", 0)
    connection.hset(f"rq:job:{late}", "deadline", 1)
    claims = {claim.job_id: claim for claim in ledger.claim(100, is_idle=True)}
    assert marked(connection, queue) == [late], "all others run"
    assert claims[done].has_webhook and not claims[silent].has_webhook

    client.cancel(cancelled)
    ledger.give_back([claims[back]])
    ledger.expire([claims[abandoned]])
    make_caretaker("w2").recover(queue)
    ledger.finish(
        [
            finished(claims[done], 1),
            Outcome(claim=claims[failing], status="failed", value="a reason"),
            Outcome(claim=claims[stopped], status="stopped", value="somebody's wish"),
            finished(claims[silent], 1),
            finished(claims[cancelled], 1),
        ]
    )

    ended = {done, failing, stopped, cancelled, abandoned, late}
    assert set(marked(connection, queue)) == ended
    statuses = {job_id: noted(connection, job_id)["status"] for job_id in ended}
    assert statuses == {job_id: client.status(job_id).value for job_id in ended}
    told = noted(connection, done)
    assert 0 <= time.time() - float(told.pop("ended_at")) < 600
    expected = {"url": URL, "status": "finished", "tenant": "acme"}
    assert told == expected | {"num_samples": "3", "reason": ""}
    assert zlib.decompress(b64decode(noted(connection, failing)["reason"])) == b"a reason"
    assert noted(connection, stopped)["reason"] == ""
    for job_id in (back, silent):
        assert not noted(connection, job_id)


def test_a_late_outcome_marks_nothing(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    slow = make_ledger("slow")
    client.submit(**JOB)
    claims = slow.claim(1, is_idle=True)
    slow.expire(claims)
    make_caretaker("w").recover(queue)
    assert slow.finish([finished(claims[0], 1)]) == [False]
    assert marked(connection, queue) == []


def test_the_mark_outlives_its_job_and_an_end_after_it_replaces_it(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger
) -> None:
    ledger = make_ledger("w1")
    job_id = client.submit(**JOB, job_id="mine")
    connection.hset(f"rq:job:{job_id}", "failure_ttl", 0)
    (claim,) = ledger.claim(1, is_idle=True)
    ledger.finish([Outcome(claim=claim, status="failed", value="a reason")])
    assert not connection.exists(f"rq:job:{job_id}"), "it asked for that"
    assert marked(connection, queue) == [job_id]
    connection.hset(f"rowmill:webhook:{job_id}", "attempts", 3)

    client.submit(**JOB, job_id="mine")
    ledger.finish([finished(claim, 1) for claim in ledger.claim(1, is_idle=True)])
    client.delete([job_id])

    assert noted(connection, job_id)["status"] == "finished"
    assert "attempts" not in noted(connection, job_id)
    for key in (f"rowmill:webhook:{job_id}", f"rowmill:webhooks:{queue}"):
        assert connection.ttl(key) > 0, "nothing stays for ever where nobody sends"


@pytest.mark.parametrize("field", ["url", "key"])
def test_what_a_producer_puts_there_harms_no_outcome(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger, field: str
) -> None:
    job_id = client.submit(**JOB)
    if field == "url":
        connection.hset(f"rq:job:{job_id}", "webhook_url", "x" * 100_000)
    else:
        connection.set(f"rowmill:webhook:{job_id}", "no hash")
        connection.rpush(f"rowmill:webhooks:{queue}", "no set")
    ledger = make_ledger("w1")
    assert ledger.finish([finished(claim, 1) for claim in ledger.claim(1, is_idle=True)]) == [True]
    assert client.status(job_id) is JobStatus.FINISHED


def test_a_job_of_plain_rq_has_none(
    connection: redis.Redis, queue: str, make_ledger: MakeLedger
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB)
    assert [claim.has_webhook for claim in make_ledger("w1").claim(1, is_idle=True)] == [False]
