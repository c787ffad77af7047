"""What RQ itself tells of a queue, by its API and by `rq info`, held against a snapshot."""

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
_WORKER = re.compile(r"worker (\S+) \(.*\) (\w+) (\S+)\. jobs: \d+ finished, \d+ failed")


def check_api(connection: redis.Redis, queue: str, snapshot: Snapshot) -> None:
    """Queue, registries, jobs and workers, as RQ's classes and so rq-dashboard show them.

    Nothing may change meanwhile.
    """
    its = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    assert its.get_job_ids() == snapshot.places["queue"]
    assert its.count == len(snapshot.places["queue"])
    registries = {
        "wip": its.started_job_registry,
        "finished": its.finished_job_registry,
        "failed": its.failed_job_registry,
        "deferred": its.deferred_job_registry,
        "canceled": its.canceled_job_registry,
        "scheduled": ScheduledJobRegistry(queue=its),
    }
    for place, registry in registries.items():
        assert registry.get_job_ids(cleanup=False) == snapshot.places[place], place
        assert registry.get_job_count(cleanup=False) == len(snapshot.places[place]), place
    job_ids = list(snapshot.statuses)
    jobs = Job.fetch_many(job_ids, connection, MsgpackSerializer)
    seen = {job.id: str(job.get_status(refresh=False).value) for job in jobs if job}
    assert seen == {job_id: status for job_id, status in snapshot.statuses.items() if status}
    workers = {
        worker.name: worker for worker in Worker.all(queue=its, serializer=MsgpackSerializer)
    }
    assert workers.keys() == snapshot.workers.keys()
    for name, record in snapshot.workers.items():
        assert workers[name].get_state() == record.state
        running = {each.composite_key for each in workers[name].get_current_executions()}
        assert running == record.executions


def rq_info(url: str, queue: str) -> str:
    command = [Path(sys.executable).parent / "rq", "info", "--url", url, "--raw", queue]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def agrees(report: str, queue: str, snapshot: Snapshot) -> bool:
    """Whether the numbers of `rq info --raw`, and its workers, are those of a snapshot."""
    counts = re.search(_COUNTS.format(re.escape(queue)), report)
    assert counts is not None, report
    places = [snapshot.places[place] for place in ("queue", "wip", "finished", "failed")]
    workers = {(name, state) for name, state, its in _WORKER.findall(report) if its == queue}
    return list(map(int, counts.groups())) == list(map(len, places)) and workers == {
        (name, record.state) for name, record in snapshot.workers.items()
    }
