"""A worker that dies, or only seems to, loses nothing and changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import pytest
import redis

from jobs import Client, GenerateJob, JobFailedError, JobStatus, SampledRows
from tests.integration.conftest import StartWorker, WorkerProcess
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]


def name_of(worker: WorkerProcess, queue: str, connection: redis.Redis) -> str:
    keys = [key.decode() for key in connection.smembers(f"rq:workers:{queue}")]
    (key,) = [key for key in keys if int(connection.hget(key, "pid") or 0) == worker.process.pid]
    return key.removeprefix("rq:worker:")


def field(job_id: str, name: str, connection: redis.Redis) -> str:
    return (connection.hget(f"rq:job:{job_id}", name) or b"").decode()


def jobs_of(worker: str, job_ids: Sequence[str], connection: redis.Redis) -> list[str]:
    return [job_id for job_id in job_ids if field(job_id, "worker_name", connection) == worker]


def wait_until_running(client: Client, job_ids: Sequence[str]) -> None:
    until(
        lambda: {client.status(job_id) for job_id in job_ids} == {JobStatus.RUNNING},
        what="all jobs to run",
    )


def assert_finished_once(job_ids: Sequence[str], queue: str, connection: redis.Redis) -> None:
    """Each job has one result and stands in one registry."""
    assert [connection.xlen(f"rq:results:{job_id}") for job_id in job_ids] == [1] * len(job_ids)
    finished = connection.zrange(f"rq:finished:{queue}", 0, -1)
    assert sorted(job_id.decode() for job_id in finished) == sorted(job_ids)
    for others in (f"rq:wip:{queue}", f"rq:failed:{queue}", f"rq:queue:{queue}"):
        assert not connection.exists(others), others


def test_the_jobs_of_a_killed_worker_are_finished_by_the_other_with_the_same_rows(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    workers = [start_worker("--max-rows", "32", "--lease", "1.5") for _ in range(2)]
    victim, survivor = [name_of(worker, queue, connection) for worker in workers]
    jobs = long_jobs(4)  # two fill a worker
    job_ids = client.submit_many(jobs)
    wait_until_running(client, job_ids)
    lost = jobs_of(victim, job_ids, connection)

    workers[0].process.kill()

    outcomes = dict(client.results(job_ids, timeout=60))
    assert [outcomes[job_id] for job_id in job_ids] == [expected(job) for job in jobs]
    assert_finished_once(job_ids, queue, connection)
    assert jobs_of(survivor, job_ids, connection) == job_ids
    left = {job_id: field(job_id, "retries_left", connection) for job_id in job_ids}
    assert lost
    assert left == {job_id: "1" if job_id in lost else "2" for job_id in job_ids}


def test_a_job_whose_last_attempt_is_lost_fails_and_says_so(
    url: str,
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    victim = start_worker("--lease", "1")
    last, other = long_jobs(2)
    with Client(url, queue, max_attempts=1) as once:
        last_attempt = once.submit(last)
    other_attempts = client.submit(other)
    wait_until_running(client, [last_attempt, other_attempts])

    victim.process.kill()
    start_worker("--lease", "1")

    with pytest.raises(JobFailedError, match=r"worker died .* no attempt is left"):
        client.result(last_attempt, timeout=60)
    assert client.result(other_attempts, timeout=60) == expected(other)
    assert connection.zscore(f"rq:failed:{queue}", last_attempt) is not None
    assert not connection.exists(f"rq:wip:{queue}")


def test_a_worker_that_was_only_asleep_changes_nothing_and_works_on(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    sleeper, other = [start_worker("--max-rows", "32", "--lease", "1") for _ in range(2)]
    name = name_of(sleeper, queue, connection)
    jobs = long_jobs(4)
    job_ids = client.submit_many(jobs)
    wait_until_running(client, job_ids)
    assert jobs_of(name, job_ids, connection)

    sleeper.process.send_signal(signal.SIGSTOP)
    outcomes = dict(client.results(job_ids, timeout=60))
    until(lambda: not connection.exists(f"rq:worker:{name}"), what="its record to expire")
    other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(60) == 0, other.log
    sleeper.process.send_signal(signal.SIGCONT)

    new = question(seed=5)
    new_id = client.submit(new)
    assert client.result(new_id, timeout=60) == expected(new)
    assert jobs_of(name, [*job_ids, new_id], connection) == [new_id]
    assert [outcomes[job_id] for job_id in job_ids] == [expected(job) for job in jobs]
    assert_finished_once([*job_ids, new_id], queue, connection)
    until(lambda: connection.hget(f"rq:worker:{name}", "state") == b"idle", what="its record")
    assert name_of(sleeper, queue, connection) == name
