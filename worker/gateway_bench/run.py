"""The whole gateway bench."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.machine import cpu_name
from jobs import Client
from worker.gateway_bench.config import GatewayBenchConfig
from worker.gateway_bench.gateway_process import gateway_process
from worker.gateway_bench.latency import measure_latency
from worker.gateway_bench.report import GatewayBenchReport
from worker.gateway_bench.streams import measure_streams
from worker.local_fleet import LocalFleet, local_fleet, num_cores

_QUEUE = "bench"
_LOAD_SECONDS = 120.0


def run(config: GatewayBenchConfig, progress: Callable[[str], None]) -> GatewayBenchReport:
    """Measure on an embedded server with one worker of the shipped model.

    Raises EmbeddedServerError, or BenchError where a process or a result is amiss.
    """
    with (
        tempfile.TemporaryDirectory(prefix="rowmill-bench-") as folder,
        local_fleet(max_rows=config.max_rows, queue=_QUEUE, threads=1, drain_seconds=0.0) as fleet,
        Client(fleet.url, _QUEUE) as client,
    ):
        progress("loading the model")
        _wait_for_worker(client, fleet)
        with gateway_process(fleet.url, _QUEUE, Path(folder) / "gateway.log") as gateway:
            latency = measure_latency(client, gateway.port, config.requests, progress)
            idle_resident_bytes = gateway.resident_bytes
            rounds = measure_streams(gateway, config, progress)
    return GatewayBenchReport(
        machine=f"{cpu_name()}, {num_cores()} of {os.cpu_count()} cores",
        latency=latency,
        idle_resident_bytes=idle_resident_bytes,
        rounds=rounds,
    )


def _wait_for_worker(client: Client, fleet: LocalFleet) -> None:
    job_id = client.submit(prompt_tokens=[1, 2, 3], max_tokens=4)
    for _ in client.results([job_id], _LOAD_SECONDS):
        fleet.check()
