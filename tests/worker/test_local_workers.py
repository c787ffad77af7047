"""Local workers stay as many as asked for, and none outlives who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from jobs import Client
from tests.waiting import until
from worker.local_workers import LocalWorkers

PARENT = """
import sys, time
from worker.local_workers import LocalWorkers
with LocalWorkers(sys.argv[1:], 2):
    time.sleep(600)
"""
STRANGER = """
import os, sys, time
from worker.local_workers import parent_watch
with parent_watch(int(sys.argv[1])):
    time.sleep(600)
"""


def _arguments(url: str, queue: str, *, model: str = "demo") -> list[str]:
    return ["--model", model, "--redis", url, "--queue", queue, "--threads", "1", "--quiet"]


def _pids(connection: redis.Redis, queue: str) -> set[int]:
    """The processes that serve the queue, by the records that they remove when they stop."""
    keys: Any = connection.smembers(f"rq:workers:{queue}")
    return {int(connection.hget(key, "pid") or 0) for key in keys}


def test_a_worker_that_is_killed_is_started_again(
    url: str, queue: str, connection: redis.Redis, client: Client
) -> None:
    with LocalWorkers(_arguments(url, queue), 1) as workers:
        until(lambda: _pids(connection, queue), what="a worker")
        (killed,) = _pids(connection, queue)
        os.kill(killed, signal.SIGKILL)
        until(lambda: _pids(connection, queue) - {killed, 0}, what="another worker")

        assert workers.num_restarts == 1
        assert not workers.are_all_dead
        job_id = client.submit(prompt_tokens=[1], max_tokens=2)
        assert len(client.result(job_id, timeout=60).rows[0].tokens) <= 2
    assert _pids(connection, queue) <= {killed, 0}, "all others have signed off"


def test_workers_stop_when_their_parent_is_killed(
    url: str, queue: str, connection: redis.Redis
) -> None:
    command = [sys.executable, "-c", PARENT, *_arguments(url, queue)]
    with subprocess.Popen(command) as parent:
        until(lambda: len(_pids(connection, queue)) == 2, what="two workers")
        parent.kill()
    until(lambda: _pids(connection, queue) == set(), what="the workers to stop")


def test_a_process_whose_parent_was_gone_before_it_looked_stops_too() -> None:
    stranger = subprocess.run([sys.executable, "-c", STRANGER, str(os.getpid() + 1)], timeout=60)
    assert stranger.returncode == -signal.SIGTERM


def test_workers_that_can_t_start_are_given_up(url: str, queue: str, tmp_path: Path) -> None:
    with LocalWorkers(_arguments(url, queue, model=str(tmp_path)), 1) as workers:
        assert not workers.are_all_dead
        until(lambda: workers.are_all_dead, what="the last try")
        assert workers.num_restarts > 0
