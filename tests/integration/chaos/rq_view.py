"""What RQ itself tells of a queue, by its API and by `rq info`, held against snapshots.

RQ takes many looks, so all else has to stand still meanwhile. Time does not: leases end, and the
records of dead workers expire.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import redis
from rq import Queue
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.worker import Worker

from jobs import MsgpackSerializer
from tests.integration.chaos.snapshot import Snapshot

_COUNTS = r"queue {} (\d+), (\d+) executing, (\d+) finished, (\d+) failed"
_WORKER = re.compile(r"worker (\S+) \(.*\) (\S+) (\S+)\. jobs: \d+ finished, \d+ failed")


class ApiView:
    """Queue, registries, jobs and workers as RQ's classes show them, and so rq-dashboard."""

    def __init__(self, connection: redis.Redis, queue: str, job_ids: list[str]) -> None:
        its = Queue(queue, connection=connection, serializer=MsgpackSerializer)
        registries = {
            "wip": its.started_job_registry,
            "finished": its.finished_job_registry,
            "failed": its.failed_job_registry,
            "deferred": its.deferred_job_registry,
            "canceled": its.canceled_job_registry,
            "scheduled": ScheduledJobRegistry(queue=its),
        }
        self._places = {"queue": its.get_job_ids()}
        self._counts = {"queue": its.count}
        for place, registry in registries.items():
            self._places[place] = registry.get_job_ids(cleanup=False)
            self._counts[place] = registry.get_job_count(cleanup=False)
        jobs = Job.fetch_many(job_ids, connection, MsgpackSerializer)
        self._statuses = {job.id: job.get_status(refresh=False).value for job in jobs if job}
        workers = Worker.all(queue=its, serializer=MsgpackSerializer)
        self._states = {worker.name: worker.get_state() for worker in workers}
        self._executions = {
            worker.name: {each.composite_key for each in worker.get_current_executions()}
            for worker in workers
        }

    def check(self, before: Snapshot, after: Snapshot) -> None:
        """Raises AssertionError where it is not as the snapshots just before and after it."""
        assert self._places == before.places
        assert self._counts == {place: len(its) for place, its in before.places.items()}
        assert self._statuses == {job: status for job, status in before.statuses.items() if status}
        assert _are_the_workers(self._states, before, after)
        for name, executions in self._executions.items():
            assert executions == before.workers[name].executions, name


def rq_info(url: str, queue: str) -> str:
    command = [Path(sys.executable).parent / "rq", "info", "--url", url, "--raw", queue]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check_report(report: str, queue: str, before: Snapshot, after: Snapshot) -> bool:
    """Holds the output of `rq info --raw` against the snapshots just before and after it.

    It takes back the jobs whose lease has ended, and counts one place after the other: if a lease
    has ended just then, nothing can be said of it, and the answer is False.
    """
    counts = re.search(_COUNTS.format(re.escape(queue)), report)
    assert counts is not None, report
    states = {name: state for name, state, its in _WORKER.findall(report) if its == queue}
    assert _are_the_workers(states, before, after), (report, before, after)
    places = [after.places[place] for place in ("queue", "wip", "finished", "failed")]
    if [int(count) for count in counts.groups()] == [len(job_ids) for job_ids in places]:
        return True
    assert before.num_leases_ended(after.time), (report, after)
    return False


def _are_the_workers(states: dict[str, str], before: Snapshot, after: Snapshot) -> bool:
    """Whether these are the workers' states; a record that expires meanwhile may be missing."""
    expected = {name: worker.state for name, worker in before.workers.items()}
    return after.workers.keys() <= states.keys() and states.items() <= expected.items()
