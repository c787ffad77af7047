"""The whole queue bench."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import redis

from bench.machine import cpu_name
from jobs.connection import address_of, open_connection, server_errors
from worker.queue_bench.claim_time import measure_claims
from worker.queue_bench.config import QueueBenchConfig
from worker.queue_bench.latency import measure_latency
from worker.queue_bench.report import QueueBenchReport
from worker.queue_bench.throughput import measure_throughput


def run(url: str, config: QueueBenchConfig, progress: Callable[[str], None]) -> QueueBenchReport:
    """Measure on the server at `url`, on queues of its own, of which nothing is left.

    Raises ServerUnavailableError, or BenchError where a worker or a result is amiss.
    """
    queue = f"bench-{uuid4().hex[:8]}"
    with open_connection(url) as connection, server_errors(address_of(connection)):
        server = _server_name(connection)
        return QueueBenchReport(
            machine=f"{cpu_name()}, {os.cpu_count()} CPUs",
            server=server,
            throughput=measure_throughput(url, connection, queue, config, progress),
            latency=measure_latency(url, connection, queue, config, progress),
            claims=measure_claims(url, connection, queue, config, progress),
        )


def _server_name(connection: redis.Redis) -> str:
    info: Any = connection.info()
    version = info.get("valkey_version") or info["redis_version"]
    name = "Valkey" if "valkey_version" in info else "Redis"
    persists = "append-only file" if info["aof_enabled"] else "no append-only file"
    return f"{name} {version}, {persists}"
