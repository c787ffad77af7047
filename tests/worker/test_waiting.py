"""What waits is counted with its rows and its age, whoever pushed it and whatever stands there."""

from __future__ import annotations

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rq import Queue

from jobs import FUNCTION_NAME, Client, MsgpackSerializer
from worker.metrics.waiting import Waiting, WaitingWatch

JOB = {"prompt_tokens": [1]}


def look(connection: redis.Redis, *queues: str) -> dict[str, Waiting]:
    watch = WaitingWatch(connection, queues)
    watch.look()
    return dict(watch.by_queue)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([None, "a", "b"])), min_size=0, max_size=128
    )
)
def test_up_to_128_jobs_their_rows_are_exact_for_all_tenants_together(
    client: Client, connection: redis.Redis, queue: str, jobs: list[tuple[int, str | None]]
) -> None:
    connection.flushall()
    client.submit_many([{**JOB, "num_samples": rows, "tenant": tenant} for rows, tenant in jobs])
    (seen,) = look(connection, queue).values()
    assert (seen.jobs, seen.rows) == (len(jobs), sum(rows for rows, _ in jobs))


def test_beyond_that_the_rows_are_those_of_an_even_sample(
    client: Client, connection: redis.Redis, queue: str
) -> None:
    client.submit_many([{**JOB, "num_samples": 1 + n // 100} for n in range(2000)])
    (seen,) = look(connection, queue).values()
    exact = sum(1 + n // 100 for n in range(2000))
    assert seen.jobs == 2000
    assert abs(seen.rows - exact) < 0.1 * exact


def test_of_more_tenants_than_are_looked_at_some_stand_for_all(
    client: Client, connection: redis.Redis, queue: str
) -> None:
    client.submit_many([{**JOB, "num_samples": 4, "tenant": f"t{n % 300}"} for n in range(900)])
    (seen,) = look(connection, queue).values()
    assert (seen.jobs, seen.rows) == (900, 3600)


def test_each_queue_has_its_own_and_an_empty_one_has_none(
    client: Client, connection: redis.Redis, queue: str
) -> None:
    client.submit(**JOB, num_samples=3)
    seen = look(connection, "empty", queue)
    assert seen["empty"] == Waiting(jobs=0, rows=0, oldest_seconds=0.0)
    assert (seen[queue].jobs, seen[queue].rows) == (1, 3)


def test_the_oldest_is_the_one_that_was_pushed_first_of_all_tenants(
    client: Client, connection: redis.Redis, queue: str
) -> None:
    ids = client.submit_many([{**JOB, "tenant": tenant} for tenant in ("a", "b", "c")])
    connection.hset(f"rq:job:{ids[1]}", "created_at", "2020-01-01T00:00:00.000000Z")
    assert look(connection, queue)[queue].oldest_seconds > 5 * 365 * 24 * 3600


def test_a_job_of_plain_rq_counts_as_one_row(connection: redis.Redis, queue: str) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    rq_queue.enqueue(FUNCTION_NAME, kwargs={**JOB, "num_samples": 7})
    assert look(connection, queue)[queue].rows == 1


def test_what_anybody_may_write_stops_no_look(
    client: Client, connection: redis.Redis, queue: str
) -> None:
    ids = client.submit_many([{**JOB, "num_samples": 5}] * 4)
    connection.hset(f"rq:job:{ids[0]}", mapping={"num_samples": "nan", "created_at": "9" * 10_000})
    connection.hset(f"rq:job:{ids[1]}", mapping={"num_samples": "1e300", "created_at": "no time"})
    connection.set("rq:job:text", "no hash")
    connection.rpush(f"rq:queue:{queue}", "text", "missing", b"\xff\xfe")
    connection.zadd(f"rowmill:turns:{queue}", {f"{queue}@\xff": 0, "another": 0})
    connection.set("rq:queue:broken", "no list")
    connection.set("rowmill:turns:broken", "no turns")
    seen = look(connection, queue, "broken")
    assert (seen[queue].jobs, seen[queue].rows) == (7, 5 + 5 + 5 * 1)
    assert seen["broken"] == Waiting(jobs=0, rows=0, oldest_seconds=0.0)
