"""From submit to result of one small job on an idle worker."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

import redis

from worker.bench_process import BenchProcess
from worker.queue_bench.config import QueueBenchConfig
from worker.queue_bench.leftovers import forget
from worker.queue_bench.rowmill_system import RowmillSystem
from worker.queue_bench.rq_system import RqSystem
from worker.queue_bench.system import System
from worker.queue_bench.throughput import RQ, batch_name

_WARM_UP = 10
_PAUSE = 0.02
"""Seconds between jobs, in which the worker comes to rest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds."""

    median: float
    p95: float
    p99: float
    engine: float
    """Of these the engine's own, per job."""


def measure_latency(
    url: str,
    connection: redis.Redis,
    queue: str,
    config: QueueBenchConfig,
    progress: Callable[[str], None],
) -> Mapping[str, Latency]:
    rows = config.batches[0]
    systems: dict[str, System] = {
        batch_name(rows): RowmillSystem(url, queue),
        RQ: RqSystem(url, f"{queue}-rq"),
    }
    latencies = {}
    for name, system in systems.items():
        progress(f"latency: {name}")
        latencies[name] = _latency(system, url, connection, rows, config.num_latencies)
    return latencies


def _latency(
    system: System, url: str, connection: redis.Redis, max_rows: int, number: int
) -> Latency:
    job_ids: list[str] = []
    milliseconds: list[float] = []
    with BenchProcess(
        system.process, url=url, queue=system.queue, max_rows=max_rows, is_burst=False
    ) as process:
        process.go()
        for _ in range(_WARM_UP + number):
            started = time.perf_counter()
            job_ids.append(system.submit())
            system.results(job_ids[-1:])
            milliseconds.append(1e3 * (time.perf_counter() - started))
            time.sleep(_PAUSE)
        engine_seconds = process.stop()["engine_seconds"]
    forget(connection, system.queue, job_ids)
    measured = milliseconds[_WARM_UP:]
    percentiles = quantiles(measured, n=100, method="inclusive")
    return Latency(
        median=median(measured),
        p95=percentiles[94],
        p99=percentiles[98],
        engine=1e3 * engine_seconds / len(job_ids),
    )
