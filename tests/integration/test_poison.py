"""A job that takes its worker down fails after its attempts, and its neighbours succeed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs import Client, GenerateJob, JobFailedError, SampledRows
from tests.integration.job_mixes import mixed_jobs
from tests.integration.poisoned_worker import POISON

Expected = Callable[[GenerateJob], SampledRows]


@contextlib.contextmanager
def supervised_worker(url: str, queue: str) -> Iterator[list[int]]:
    """A poisoned worker that is started again whenever it dies; gives the exit codes."""
    command = [sys.executable, "-m", "tests.integration.poisoned_worker", url, queue]
    root = Path(__file__).parents[2]
    codes: list[int] = []
    is_done = threading.Event()
    process = subprocess.Popen(command, cwd=root)

    def watch() -> None:
        nonlocal process
        while not is_done.wait(0.05):
            if (code := process.poll()) is not None:
                codes.append(code)
                process = subprocess.Popen(command, cwd=root)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield codes
    finally:
        is_done.set()
        thread.join()
        process.kill()
        process.wait()


def test_a_poison_job_fails_after_three_attempts_and_its_neighbours_succeed(
    url: str, queue: str, client: Client, connection: redis.Redis, expected: Expected
) -> None:
    jobs = mixed_jobs(20)
    good = client.submit_many(jobs[:10])
    poison = client.submit(prompt_tokens=POISON, max_tokens=4)
    good += client.submit_many(jobs[10:])

    with supervised_worker(url, queue) as codes:
        outcomes = dict(client.results(good, timeout=110))
        with pytest.raises(JobFailedError, match="no attempt is left"):
            client.result(poison, timeout=60)

    assert outcomes == {it: expected(job) for it, job in zip(good, jobs, strict=True)}
    assert codes == [-9] * 3
    lefts = {connection.hget(f"rq:job:{job_id}", "retries_left") for job_id in good}
    assert lefts <= {b"2", b"1"}, "nobody was in company of it twice"
    assert connection.zrange(f"rq:failed:{queue}", 0, -1) == [poison.encode()]
    assert connection.zcard(f"rq:wip:{queue}") == 0
