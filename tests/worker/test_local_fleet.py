"""A local fleet goes on whatever dies of it, and nothing of it outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobs import Client
from jobs.connection import open_connection
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until
from tests.worker.processes import is_gone, server_pid, worker_pids
from worker.local_fleet import LocalFleetError, local_fleet

OWNER = """
import time
from worker.local_fleet import local_fleet
with local_fleet(threads=1, drain_seconds=600) as fleet:
    print(fleet.url, flush=True)
    time.sleep(600)
"""


def test_a_fleet_serves_its_queue_again_after_its_server_and_its_worker_were_killed() -> None:
    with (
        local_fleet(queue="q", drain_seconds=0) as fleet,
        open_connection(fleet.url) as connection,
        Client(fleet.url, "q") as client,
    ):
        until(lambda: worker_pids(connection, "q"), what="a worker")
        (worker,) = worker_pids(connection, "q")
        server = server_pid(connection)
        os.kill(worker, signal.SIGKILL)
        os.kill(server, signal.SIGKILL)
        until(lambda: server_pid(connection) not in (0, server), what="another server")
        rows = client.result(client.submit(question(max_tokens=4)), timeout=60).rows
        assert len(rows[0].tokens) == 4
        fleet.check()
        assert (fleet.workers.num_alive, fleet.workers.num_restarts) == (1, 1)
        fleet.workers.stop()
        assert fleet.workers.num_alive == 0
        assert worker_pids(connection, "q") <= {worker, 0}, "all others have signed off"


def test_nothing_of_a_fleet_whose_owner_is_killed_is_left_though_rows_run() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        url = it.stdout.readline().strip()
        with open_connection(url) as connection, Client(url) as client:
            client.submit_many(long_jobs(400))
            until(lambda: connection.zcard("rq:wip:rowmill"), what="a job to run")
        started = [process.pid for process in psutil.Process(it.pid).children(recursive=True)]
        assert len(started) == 3, "a keeper, its server, and a worker"
        it.kill()
    until(lambda: all(map(is_gone, started)), what="all to end")
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_a_fleet_whose_workers_can_t_start_says_so(tmp_path: Path) -> None:
    with local_fleet(str(tmp_path)) as fleet:
        until(lambda: fleet.workers.are_all_dead, what="the last try")
        assert fleet.workers.num_restarts == 0, "another would not start either"
        with pytest.raises(LocalFleetError, match="workers died"):
            fleet.check()


def test_a_fleet_whose_server_can_t_start_again_says_so() -> None:
    with local_fleet() as fleet, open_connection(fleet.url) as connection:
        folder = Path(fleet.url.removeprefix("unix://")).parent
        (manifest,) = (folder / "appendonlydir").glob("*.manifest")
        manifest.write_text("no manifest")
        os.kill(server_pid(connection), signal.SIGKILL)
        with pytest.raises(LocalFleetError, match="server died"):
            until(fleet.check, what="an error")
