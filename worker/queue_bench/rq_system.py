"""RQ's queue with its SimpleWorker, which runs jobs in its own process: the fastest that RQ has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from rq import Queue
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from bench.errors import BenchError
from worker.queue_bench.payload import JOB, MASKS, PROVENANCE, TOKENS

_TIMEOUT = 120
_AT_ONCE = 1000


def generate(**fields: Any) -> dict[str, Any]:
    """What its worker runs: it returns what a job of one row returns in Rowmill."""
    row = {"tokens": TOKENS, "masks": MASKS, "finish_reason": "length"}
    return {"rows": [row], "provenance": PROVENANCE}


class RqSystem:
    """A System, all with RQ's own means."""

    name = "rq"
    process = "worker.queue_bench.rq_process"

    def __init__(self, url: str, queue: str) -> None:
        self.queue = queue
        self._connection = redis.Redis.from_url(url)
        self._queue = Queue(queue, connection=self._connection, serializer=JSONSerializer)

    def submit(self) -> str:
        return str(self._queue.enqueue(generate, kwargs=JOB).id)

    def submit_many(self, number: int) -> list[str]:
        job_ids: list[str] = []
        for start in range(0, number, _AT_ONCE):
            at_once = min(_AT_ONCE, number - start)
            data = [Queue.prepare_data(generate, kwargs=JOB) for _ in range(at_once)]
            job_ids += (job.id for job in self._queue.enqueue_many(data))
        return job_ids

    def results(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            # Not fetched: RQ's way with the fewest commands.
            job = Job(job_id, connection=self._connection, serializer=JSONSerializer)
            result = job.latest_result(timeout=_TIMEOUT)
            if result is None or result.type is not Result.Type.SUCCESSFUL:
                raise BenchError(f"RQ's job {job_id} has no result")
            rows: Any = result.return_value
            assert rows["rows"][0]["tokens"] == TOKENS
