"""No local worker outlives who started it, though its server goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import redis

from tests.waiting import until
from tests.worker.processes import worker_pids

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


def test_workers_stop_when_their_parent_is_killed(
    url: str, queue: str, connection: redis.Redis
) -> None:
    arguments = ["--redis", url, "--queue", queue, "--threads", "1", "--quiet"]
    command = [sys.executable, "-c", PARENT, *arguments]
    with subprocess.Popen(command) as parent:
        until(lambda: len(worker_pids(connection, queue)) == 2, what="two workers")
        parent.kill()
    until(lambda: worker_pids(connection, queue) == set(), what="the workers to stop")


def test_a_process_whose_parent_was_gone_before_it_looked_stops_too() -> None:
    stranger = subprocess.run([sys.executable, "-c", STRANGER, str(os.getpid() + 1)], timeout=60)
    assert stranger.returncode == -signal.SIGTERM
