"""Which job is next: by queue, then by the turn of its tenant, then by age; suspects alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from rq import Queue

from jobs import FUNCTION_NAME, Client, JobFailedError, MsgpackSerializer
from tests.worker.conftest import (
    MakeCaretaker,
    MakeLedger,
    finished,
    new_ledger,
    queued_ids,
)
from worker.claim import Claim
from worker.ledger import Ledger

JOB: dict[str, Any] = {"prompt_tokens": [1]}


def ids(claims: Iterable[Claim]) -> list[str]:
    return [claim.job_id for claim in claims]


def tenants(claims: Iterable[Claim]) -> list[str]:
    return [claim.queue.partition("@")[2] for claim in claims]


def jobs_of(tenant: str | None, number: int, **fields: Any) -> list[dict[str, Any]]:
    return [{**JOB, "tenant": tenant, **fields} for _ in range(number)]


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger("w1")


def test_queues_are_taken_in_their_order(
    url: str, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    with Client(url, "later") as later, Client(url, "urgent") as urgent:
        slow, quick = later.submit_many([JOB] * 2), urgent.submit_many([JOB] * 2)
        ledger = make_ledger("w1", "urgent", "later")

        assert ids(ledger.claim(3, is_idle=True)) == [*quick, slow[0]]
        new = urgent.submit(**JOB)
        assert ids(ledger.claim(100, is_idle=True)) == [new, slow[1]]
        assert connection.zcard("rq:wip:urgent") == 3 and connection.zcard("rq:wip:later") == 2


def test_ten_thousand_jobs_of_one_tenant_do_not_starve_ten_of_another(
    client: Client, ledger: Ledger
) -> None:
    client.submit_many(jobs_of("big", 10_000))
    few = client.submit_many(jobs_of("small", 10))
    nobodys = client.submit_many([JOB] * 10)

    claims = ledger.claim(33, is_idle=True)

    assert set(few) | set(nobodys) < set(ids(claims))
    assert Counter(tenants(claims)[:6]) == {"big": 2, "small": 2, "": 2}


def test_turns_count_rows_not_jobs(client: Client, ledger: Ledger) -> None:
    client.submit_many(jobs_of("wide", 10, num_samples=8))
    client.submit_many(jobs_of("narrow", 100, num_samples=1))

    took = tenants(ledger.claim(96, is_idle=True))

    assert 4 <= took.count("wide") <= 7, "half of the rows"


def test_a_tenant_s_share_follows_its_priority(client: Client, ledger: Ledger) -> None:
    client.submit_many(jobs_of("plain", 200, num_samples=2))
    client.submit_many(jobs_of("paying", 200, num_samples=2, priority=4))
    client.submit_many(jobs_of(None, 200, num_samples=2, priority=3))

    took = Counter(tenants(ledger.claim(160, is_idle=True)))

    assert took == {"paying": 40, "": 30, "plain": 10}


@pytest.mark.parametrize("written", ["0", "-4", "1e9", "nan", "a lot", "4" * 100])
def test_a_priority_that_no_client_wrote_harms_nobody(
    client: Client, connection: redis.Redis, ledger: Ledger, written: str
) -> None:
    first = client.submit_many(jobs_of("odd", 20))
    client.submit_many(jobs_of("plain", 20))
    for job_id in first:
        connection.hset(f"rq:job:{job_id}", "priority", written)

    took = Counter(tenants(ledger.claim(10, is_idle=True)))

    assert took["plain"] >= 5


def test_who_was_away_brings_no_credit(client: Client, ledger: Ledger) -> None:
    client.submit_many(jobs_of("busy", 200))
    ledger.claim(100, is_idle=True)
    client.submit_many(jobs_of("new", 100))

    took = tenants(ledger.claim(20, is_idle=True))

    assert took.count("new") == took.count("busy") == 10


def test_a_tenant_s_jobs_keep_their_order_and_stand_in_a_queue_of_rq(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    job_ids = client.submit_many(jobs_of("acme", 5))
    rq_queue = Queue(f"{queue}@acme", connection=connection, serializer=MsgpackSerializer)

    assert rq_queue.get_job_ids() == job_ids
    assert client.num_queued("acme") == 5 and client.num_queued() == 0
    claims = ledger.claim(100, is_idle=True)
    assert ids(claims) == job_ids
    assert rq_queue.started_job_registry.get_job_count(cleanup=False) == 5
    ledger.finish([finished(claim, 1) for claim in claims])
    assert sorted(rq_queue.finished_job_registry.get_job_ids()) == sorted(job_ids)


def test_a_tenant_that_plain_rq_pushed_takes_part_from_the_next_look_on(
    connection: redis.Redis, queue: str, ledger: Ledger, make_caretaker: MakeCaretaker
) -> None:
    rq_queue = Queue(f"{queue}@acme", connection=connection, serializer=MsgpackSerializer)
    job_id = rq_queue.enqueue(FUNCTION_NAME, **JOB).id
    make_caretaker("w2").see_to()
    assert ids(ledger.claim(1, is_idle=True)) == [job_id]


def test_a_tenant_s_lost_jobs_are_recovered_and_nothing_of_it_stays(
    client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    job_ids = client.submit_many(jobs_of("acme", 3))
    dead, alive = make_ledger("dead"), make_ledger("alive")
    dead.expire(dead.claim(3, is_idle=True))
    make_caretaker("alive").see_to()
    assert queued_ids(connection, f"{queue}@acme") == job_ids
    while claims := alive.claim(3, is_idle=True):
        alive.finish([finished(claim, 1) for claim in claims])
    assert client.delete(job_ids) == 3
    connection.delete(f"rowmill:caretaker:{queue}")
    make_caretaker("alive").see_to()
    kept = {b"rq:queues", f"rowmill:caretaker:{queue}".encode()}
    assert set(connection.keys("*")) - kept == set()
    assert connection.smembers("rq:queues") <= {f"rq:queue:{queue}".encode()}


def test_a_job_whose_worker_died_runs_alone(
    client: Client, queue: str, connection: redis.Redis, make_ledger: MakeLedger,
    make_caretaker: MakeCaretaker,
) -> None:  # fmt: skip
    job_ids = client.submit_many([JOB] * 4)
    dead, alive = make_ledger("dead"), make_ledger("alive")
    dead.expire(dead.claim(2, is_idle=True))
    make_caretaker("alive").recover(queue)

    assert alive.claim(64, is_idle=False) == [], "not beside others"
    first = alive.claim(64, is_idle=True)
    assert [(its.job_id, its.is_alone) for its in first] == [(job_ids[0], True)]
    alive.finish([finished(claim, 1) for claim in first])
    second = alive.claim(64, is_idle=True)
    assert ids(second) == job_ids[1:2]
    alive.finish([finished(claim, 1) for claim in second])
    rest = alive.claim(64, is_idle=True)
    assert [(its.job_id, its.is_alone) for its in rest] == [(its, False) for its in job_ids[2:]]


def test_what_is_given_back_is_no_suspect(client: Client, make_ledger: MakeLedger) -> None:
    client.submit_many([JOB] * 3)
    ledger = make_ledger("w1")
    ledger.give_back(ledger.claim(3, is_idle=True))
    assert [claim.is_alone for claim in ledger.claim(3, is_idle=False)] == [False] * 3


def test_a_job_that_ended_well_or_badly_starts_anew_when_it_is_requeued(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    job_id = client.submit(**JOB)
    ledger.expire(ledger.claim(1, is_idle=True))
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    rq_queue.started_job_registry.cleanup(2**40)  # as RQ's readers do, without us
    (claim,) = ledger.claim(1, is_idle=True)
    assert claim.is_alone, "nor does RQ lose the count"
    ledger.finish([finished(claim, 1)])
    assert connection.hget(f"rq:job:{job_id}", "attempts") is None


def test_a_claim_whose_answer_was_lost_is_given_back_by_the_next(
    url: str, client: Client, connection: redis.Redis, queue: str, make_ledger: MakeLedger
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    ledger = make_ledger("w1")
    ledger.claim(1, is_idle=True)
    (lost,) = ledger.claim(1, is_idle=False)
    # What the ledger remembers where the answer did not come.
    ledger._lost_claims = ["another", lost.execution_id.rpartition("-")[0]]

    assert ids(ledger.claim(10, is_idle=False)) == job_ids[1:]
    assert connection.zcard(f"rq:wip:{queue}") == 3
    assert connection.hget(f"rq:job:{lost.job_id}", "attempts") == b"1"


def test_a_late_job_fails_without_running(
    client: Client, connection: redis.Redis, queue: str, ledger: Ledger
) -> None:
    late, good = client.submit_many([{**JOB, "deadline_seconds": 0.001}, JOB])
    time.sleep(0.01)
    assert ids(ledger.claim(10, is_idle=True)) == [good]
    with pytest.raises(JobFailedError, match="deadline_seconds"):
        client.result(late, timeout=0)
    assert connection.zscore(f"rq:failed:{queue}", late) is not None


def test_a_late_job_fails_also_where_no_worker_has_room(
    client: Client, connection: redis.Redis, queue: str, make_caretaker: MakeCaretaker
) -> None:
    early, late = client.submit_many([JOB, {**JOB, "deadline_seconds": 0.001}])
    time.sleep(0.01)
    make_caretaker("w1").see_to()
    with pytest.raises(JobFailedError, match="deadline_seconds"):
        client.result(late, timeout=0)
    assert queued_ids(connection, queue) == [early]


def test_a_payload_that_is_too_large_is_refused_before_it_travels(
    client: Client, ledger: Ledger
) -> None:
    large, small = client.submit_many(
        [{"prompt_tokens": [n * 7919 % 65521 for n in range(60_000)]}, JOB]
    )
    assert ids(ledger.claim(10, is_idle=True)) == [small]
    with pytest.raises(JobFailedError, match=r"payload.*100000.*max-payload-bytes"):
        client.result(large, timeout=0)


def test_a_claim_takes_no_more_bytes_than_one_job_may_have_and_one_job(
    client: Client, ledger: Ledger
) -> None:
    job = {"prompt_tokens": [n * 7919 % 65521 for n in range(20_000)]}  # about 40,000 bytes
    client.submit_many([job] * 8)
    assert len(ledger.claim(64, is_idle=True)) == 3


@given(
    pushes=st.lists(
        st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(1, 9)), max_size=40
    ),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=10),
)
def test_every_job_is_claimed_once_and_each_tenant_s_in_order(
    url: str, pushes: list[tuple[str | None, int]], sizes: list[int]
) -> None:
    with redis.Redis.from_url(url) as connection, Client(url, "fair") as client:
        connection.flushall()
        jobs = [{**JOB, "tenant": tenant, "num_samples": rows} for tenant, rows in pushes]
        job_ids = client.submit_many(jobs)
        ledger = new_ledger(connection, "w", "fair")
        claims: list[Claim] = []
        for size in [*sizes, 10_000]:
            claims += ledger.claim(size, is_idle=False)
        for tenant in (None, "a", "b", "c"):
            pushed = [it for it, push in zip(job_ids, pushes, strict=True) if push[0] == tenant]
            assert [
                its.job_id for its in claims if its.queue.partition("@")[2] == (tenant or "")
            ] == pushed
        assert not connection.keys("rowmill:turns:*") and not connection.keys("rowmill:bell:*")
