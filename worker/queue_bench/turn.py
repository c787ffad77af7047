"""Turn: some jobs from their producer to their reader, each part timed and counted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from worker.bench_process import BenchProcess
from worker.queue_bench.leftovers import forget
from worker.queue_bench.server_counts import ServerCounts
from worker.queue_bench.server_time import server_time
from worker.queue_bench.system import System

_AT_ONCE = 1000
_SHARE_OF_SINGLES = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Jobs per second, and what the server counted per job."""

    submitted: float
    """One by one."""
    submitted_many: float
    worked: float
    """From the worker's start to the last result stored."""
    read: float
    push: ServerCounts
    """Of those that were pushed many at once."""
    work: ServerCounts
    reading: ServerCounts

    @classmethod
    def of(
        cls, system: System, url: str, connection: redis.Redis, num_jobs: int, max_rows: int
    ) -> Turn:
        num_singles = max(num_jobs // _SHARE_OF_SINGLES, 1)
        num_many = max(num_jobs - num_singles, 1)
        job_ids, singles_seconds = _timed(lambda: [system.submit() for _ in range(num_singles)])
        counts = [ServerCounts.of(connection)]
        many, many_seconds = _timed(lambda: system.submit_many(num_many))
        job_ids += many
        counts.append(ServerCounts.of(connection))
        with BenchProcess(
            system.process, url=url, queue=system.queue, max_rows=max_rows, is_burst=True
        ) as process:
            process.go()
            started = process.wait()["started"]
        counts.append(ServerCounts.of(connection))
        _, read_seconds = _timed(lambda: system.results(job_ids))
        counts.append(ServerCounts.of(connection))
        stored_at = _last_stored(connection, job_ids)
        forget(connection, system.queue, job_ids)
        return cls(
            submitted=num_singles / singles_seconds,
            submitted_many=num_many / many_seconds,
            worked=len(job_ids) / (stored_at - started),
            read=len(job_ids) / read_seconds,
            push=(counts[1] - counts[0]).per(num_many),
            work=(counts[2] - counts[1]).per(len(job_ids)),
            reading=(counts[3] - counts[2]).per(len(job_ids)),
        )


def whole_path(
    system: System, url: str, connection: redis.Redis, num_jobs: int, max_rows: int
) -> float:
    """Jobs per second from the worker's start until a client that reads meanwhile has the rows."""
    job_ids = system.submit_many(num_jobs)
    with BenchProcess(
        system.process, url=url, queue=system.queue, max_rows=max_rows, is_burst=True
    ) as process:
        process.go()
        system.results(job_ids)
        ended = server_time(connection)
        started = process.wait()["started"]
    forget(connection, system.queue, job_ids)
    return num_jobs / float(ended - started)


def _timed(action: Callable[[], list[str] | None]) -> tuple[list[str], float]:
    started = time.perf_counter()
    answer = action()
    return answer or [], time.perf_counter() - started


def _last_stored(connection: redis.Redis, job_ids: Sequence[str]) -> float:
    """When the last of the jobs' results came, in seconds by the server's clock."""
    newest = 0
    for start in range(0, len(job_ids), _AT_ONCE):
        with connection.pipeline(transaction=False) as pipe:
            for job_id in job_ids[start : start + _AT_ONCE]:
                pipe.xrevrange(f"rq:results:{job_id}", count=1)
            entries: Any = pipe.execute()
        newest = max(newest, *(int(entry[0][0].partition(b"-")[0]) for entry in entries))
    return newest / 1000
