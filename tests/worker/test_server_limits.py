"""A server that takes no writes, or holds what nobody should have put there, loses nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
import redis
from rq import Queue
from rq.rate_limit import RateLimit

from jobs import FUNCTION_NAME, Client, JobStatus, MsgpackSerializer
from tests.waiting import until
from tests.worker.conftest import MakeCaretaker, MakeLedger, finished, queued_ids
from worker.follow_ups import FollowUps
from worker.ledger import Ledger
from worker.refusal import is_for_ever

JOB = {"prompt_tokens": [1]}

NoWrites = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(params=["out of memory", "read-only"])
def no_writes(connection: redis.Redis, request: pytest.FixtureRequest) -> NoWrites:
    """A context in which the server refuses writes; deletions too, or not."""

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        if request.param == "read-only":
            connection.config_set("min-replicas-to-write", 1)
        else:
            connection.config_set("maxmemory", 1)
        try:
            yield
        finally:
            connection.config_set("min-replicas-to-write", 0)
            connection.config_set("maxmemory", 0)

    return context


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger("w1")


def test_a_claim_loses_no_job(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, no_writes: NoWrites
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    with no_writes(), pytest.raises(redis.RedisError) as caught:
        ledger.claim(2, is_idle=True)
    assert not is_for_ever(caught.value)
    assert queued_ids(connection, queue) == job_ids
    assert [claim.job_id for claim in ledger.claim(9, is_idle=True)] == job_ids


def test_an_outcome_is_no_refusal_and_is_stored_later_with_its_reply(
    client: Client, connection: redis.Redis, ledger: Ledger, no_writes: NoWrites
) -> None:
    job_id = client.submit(**JOB, reply_to="mine")
    (claim,) = ledger.claim(1, is_idle=True)
    with no_writes():
        for act in (lambda: ledger.finish([finished(claim, 1)]), lambda: ledger.heartbeat([claim])):
            with pytest.raises(redis.RedisError) as caught:
                act()
            assert not is_for_ever(caught.value), "the finalizer would give up the rows"
    assert client.status(job_id) is JobStatus.RUNNING
    assert ledger.finish([finished(claim, 1)]) == [True]
    assert client.replies("mine", timeout=1) == [job_id]


def test_what_was_to_be_recovered_given_back_or_put_on_the_queue_is_so_later(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, no_writes: NoWrites,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    job_ids = client.submit_many([JOB] * 3)
    claims = ledger.claim(3, is_idle=True)
    ledger.expire(claims[:1])
    connection.zrem(f"rq:wip:{queue}", f"{claims[1].job_id}:{claims[1].execution_id}")
    connection.hset(f"rq:job:{claims[1].job_id}", "status", "scheduled")
    connection.zadd(f"rq:scheduled:{queue}", {claims[1].job_id: 1})
    caretaker = make_caretaker("w2")
    with no_writes():
        for act in (lambda: caretaker.recover(queue), lambda: ledger.give_back(claims[2:])):
            with contextlib.suppress(redis.RedisError):  # a full server allows some of it
                act()
    caretaker.recover(queue)
    ledger.give_back(claims[2:])
    assert sorted(queued_ids(connection, queue)) == sorted(job_ids)
    assert connection.zcard(f"rq:wip:{queue}") == 0


def test_a_follow_up_waits_for_the_server(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, no_writes: NoWrites
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    first = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB)
    dependent = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB, depends_on=first)
    (claim,) = ledger.claim(1, is_idle=True)
    ledger.finish([finished(claim, 1)])
    follow_ups = FollowUps(connection)
    with no_writes(), pytest.raises(redis.RedisError):
        follow_ups.follow_up(queue, first.id)
    follow_ups.follow_up(queue, first.id)
    assert queued_ids(connection, queue) == [dependent.id]
    assert not connection.exists(f"rowmill:follow-ups:{queue}")


@pytest.mark.parametrize("key", ["rq:job:ID", "rq:executions:ID"])
def test_a_job_s_odd_key_ends_no_neighbour_s_lease_and_keeps_none_from_going_back(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, key: str
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    claims = ledger.claim(3, is_idle=True)
    odd = key.replace("ID", job_ids[1])
    connection.delete(odd)
    connection.lpush(odd, "x")

    assert ledger.heartbeat(claims) == {claims[1].execution_id}
    ledger.give_back(claims)
    assert [it for it in queued_ids(connection, queue) if it != job_ids[1]] == job_ids[::2]


def test_a_job_whose_count_of_attempts_is_none_goes_back(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    job_id = client.submit(**JOB)
    claims = ledger.claim(1, is_idle=True)
    connection.hset(f"rq:job:{job_id}", "attempts", "x")
    assert ledger.give_back(claims) == 1
    assert queued_ids(connection, queue) == [job_id]


def test_odd_tenants_are_passed_over(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    with_tenant = client.submit(**JOB, tenant="acme")
    odd = [
        f"{queue}@".encode() + b"\xff",
        b"another",
        f"{queue}@a b".encode(),
        f"{queue}@".encode(),
    ]
    for name in odd:
        connection.rpush(b"rq:queue:" + name, "x")
        connection.zadd(f"rowmill:turns:{queue}", {name: -1})
        connection.sadd("rq:queues", b"rq:queue:" + name)
    make_caretaker("w2").see_to()
    assert [claim.job_id for claim in ledger.claim(9, is_idle=True)] == [with_tenant]


@pytest.mark.parametrize("kind", ["wip", "scheduled", "queue"])
def test_a_tenant_s_broken_key_stops_no_recovery_of_others(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger, kind: str,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    connection.set(f"rq:{kind}:{queue}@a", "x")
    connection.sadd("rq:queues", f"rq:queue:{queue}@a")
    job_id = client.submit(**JOB, tenant="b")
    ledger.expire(ledger.claim(1, is_idle=True))
    make_caretaker("w2").see_to()
    assert queued_ids(connection, f"{queue}@b") == [job_id]


def test_a_job_may_be_deleted_before_what_hangs_on_it_is_seen_to(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    first = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB)
    dependent = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB, depends_on=first)
    (claim,) = ledger.claim(1, is_idle=True)
    ledger.finish([finished(claim, 1)])
    assert client.delete([first.id]) == 1

    follow_ups = FollowUps(connection)
    follow_ups.start()
    follow_ups.submit(queue, first.id)

    until(lambda: queued_ids(connection, queue) == [dependent.id], what="the dependent")


def test_the_slot_of_a_running_job_that_is_cancelled_is_freed(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    limit = RateLimit(f"limit-{queue}", 1)
    first, second = (rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB, rate_limit=limit) for _ in "ab")
    (claim,) = ledger.claim(9, is_idle=True)
    client.cancel(first.id)
    ledger.finish([finished(claim, 1)])
    make_caretaker("w2").see_to()
    assert queued_ids(connection, queue) == [second.id]


def test_a_suspect_tells_that_it_waits_and_a_claim_whether_the_queues_are_empty(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    (job_id,) = client.submit_many([JOB])
    ledger.expire(ledger.claim(1, is_idle=True))
    make_caretaker("w2").recover(queue)
    assert ledger.claim(1, is_idle=False) == []
    assert ledger.is_blocked and not ledger.is_empty
    assert [claim.job_id for claim in ledger.claim(1, is_idle=True)] == [job_id]
    assert ledger.claim(1, is_idle=True) == []
    assert ledger.is_empty and not ledger.is_blocked

    dead = client.submit_many([JOB] * 1001)
    good = client.submit(**JOB)
    connection.delete(*(f"rq:job:{it}" for it in dead))
    assert ledger.claim(1, is_idle=True) == []
    assert not ledger.is_empty, "there may be more behind those that are gone"
    assert [claim.job_id for claim in ledger.claim(1, is_idle=True)] == [good]
