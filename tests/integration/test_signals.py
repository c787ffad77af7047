"""SIGTERM: what runs is finished. Again: what runs goes back. Either way nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import redis

from jobs import Client, GenerateJob, JobStatus, SampledRows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]


def queued_jobs(queue: str, connection: redis.Redis) -> list[str]:
    return [job_id.decode() for job_id in connection.lrange(f"rq:queue:{queue}", 0, -1)]


def test_sigterm_finishes_what_runs_and_takes_nothing_new(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    worker = start_worker("--max-rows", "4").process
    (record,) = connection.smembers(f"rq:workers:{queue}")
    until(client.worker_models, what="its model")
    model = connection.hget(record, "model").decode()
    assert client.worker_models() == {record.decode().removeprefix("rq:worker:"): model}
    jobs = long_jobs(3)  # each has more rows than there is room for
    running, *waiting = client.submit_many(jobs)
    until(lambda: client.status(running) is JobStatus.RUNNING, what="the job to run")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert client.result(running, timeout=0) == expected(jobs[0])
    assert [client.status(job_id) for job_id in waiting] == [JobStatus.QUEUED] * 2
    assert queued_jobs(queue, connection) == waiting
    assert not connection.sismember("rq:workers", record)
    assert not connection.exists(f"rq:workers:{queue}", record + b":executions")
    assert client.worker_models() == {}


def test_a_second_sigterm_puts_what_runs_back_at_the_head_of_the_queue_in_order(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    worker = start_worker("--max-rows", "20").process
    jobs = [question(num_samples=4096, temperature=8.0), *long_jobs(3)]
    jobs = [jobs[1], jobs[0], *jobs[2:]]  # the second can't be finished in time
    job_ids = client.submit_many(jobs)
    until(lambda: client.status(job_ids[1]) is JobStatus.RUNNING, what="two jobs to run")

    worker.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # as a person would: two at the same moment are one
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert queued_jobs(queue, connection) == job_ids
    assert {client.status(job_id) for job_id in job_ids} == {JobStatus.QUEUED}
    left = [connection.hget(f"rq:job:{job_id}", "retries_left") for job_id in job_ids]
    assert left == [b"2"] * 4
    assert not connection.exists(f"rq:wip:{queue}", f"rq:workers:{queue}")

    client.cancel(job_ids[1])
    start_worker()
    for index in (0, 2, 3):
        assert client.result(job_ids[index], timeout=60) == expected(jobs[index])


def test_what_is_not_done_after_the_drain_goes_back_to_the_head_in_order(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    worker = start_worker("--max-rows", "20", "--drain-seconds", "0.2").process
    endless = question(num_samples=4096, temperature=8.0)
    job_ids = client.submit_many([endless, *long_jobs(3)])
    until(lambda: client.status(job_ids[0]) is JobStatus.RUNNING, what="the job to run")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert queued_jobs(queue, connection) == job_ids
    assert connection.hget(f"rq:job:{job_ids[0]}", "attempts") == b"0"
    assert not connection.exists(f"rq:wip:{queue}", f"rq:workers:{queue}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_ends_on_one_signal(
    queue: str, connection: redis.Redis, start_worker: StartWorker, number: signal.Signals
) -> None:
    worker = start_worker().process

    worker.send_signal(number)

    assert worker.wait(60) == 0
    assert not connection.exists(f"rq:workers:{queue}")
