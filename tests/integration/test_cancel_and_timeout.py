"""A job can be taken back at any time, and its neighbours do not notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from rq import Queue
from rq.command import send_stop_job_command
from rq.job import Job
from rq.suspension import resume, suspend

from jobs import (
    FUNCTION_NAME,
    Client,
    GenerateJob,
    JobCancelledError,
    JobFailedError,
    JobStatus,
    MsgpackSerializer,
    SampledRows,
)
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]


def test_a_cancelled_job_leaves_the_batch(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    start_worker("--max-rows", "32", "--lease", "1")
    jobs = long_jobs(3)
    running, neighbour, queued = client.submit_many(jobs)
    until(lambda: client.status(running) is JobStatus.RUNNING, what="the job to run")
    assert client.cancel(queued)
    assert client.cancel(running)
    for job_id in (running, queued):
        with pytest.raises(JobCancelledError):
            client.result(job_id, timeout=60)
    assert client.result(neighbour, timeout=60) == expected(jobs[1])
    assert client.status(running) is JobStatus.CANCELLED
    until(lambda: connection.keys(f"rq:execution*{running}*") == [], what="the execution to go")
    assert connection.zcard(f"rq:wip:{queue}") == 0


def test_stop_job_stops_the_job_that_it_names(
    client: Client, connection: redis.Redis, start_worker: StartWorker, expected: Expected
) -> None:
    start_worker("--max-rows", "64")
    jobs = long_jobs(2)
    first, second = client.submit_many(jobs)
    until(lambda: client.status(second) is JobStatus.RUNNING, what="both jobs to run")
    send_stop_job_command(connection, second, serializer=MsgpackSerializer)
    until(lambda: Job.fetch(second, connection, MsgpackSerializer).is_stopped, what="the stop")
    assert client.result(first, timeout=60) == expected(jobs[0])


def test_a_job_that_runs_too_long_fails_and_says_so(
    url: str, queue: str, client: Client, start_worker: StartWorker, expected: Expected
) -> None:
    start_worker("--max-rows", "1")
    with Client(url, queue, timeout=1) as hasty:
        slow_job = question(num_samples=4096, temperature=8.0)
        slow = hasty.submit(slow_job)
        with pytest.raises(JobFailedError, match="longer than its 1 seconds"):
            hasty.result(slow, timeout=60)
    job = question(seed=5)
    assert client.result(client.submit(job), timeout=60) == expected(job)


def test_a_deadline_ends_a_job_that_runs_and_one_that_plain_rq_pushed(
    queue: str, client: Client, connection: redis.Redis, start_worker: StartWorker,
    expected: Expected,
) -> None:  # fmt: skip
    start_worker("--max-rows", "16")
    slow = question(num_samples=4096, temperature=8.0, deadline_seconds=1)
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    pushed = [client.submit(slow), rq_queue.enqueue(FUNCTION_NAME, kwargs=slow.fields()).id]
    job = question(deadline_seconds=1000)
    good = client.submit(job)

    for job_id in pushed:
        with pytest.raises(JobFailedError, match="deadline_seconds"):
            client.result(job_id, timeout=60)
    assert client.result(good, timeout=60) == expected(job)


def test_suspended_workers_take_nothing(
    client: Client, connection: redis.Redis, start_worker: StartWorker
) -> None:
    start_worker()
    suspend(connection)
    try:
        job_id = client.submit(question())
        with pytest.raises(TimeoutError):
            client.result(job_id, timeout=1)
        assert client.status(job_id) is JobStatus.QUEUED
    finally:
        resume(connection)
    assert client.result(job_id, timeout=60)
