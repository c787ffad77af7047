"""The whole sample bench."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.machine import cpu_name
from worker.local_fleet import num_cores
from worker.sample_bench.config import SampleBenchConfig
from worker.sample_bench.memory import measure_memory
from worker.sample_bench.report import SampleBenchReport
from worker.sample_bench.throughput import measure_throughput
from worker.sample_bench.workload import build


def run(config: SampleBenchConfig, progress: Callable[[str], None]) -> SampleBenchReport:
    """Measure on embedded servers, in a temporary folder.

    Raises EmbeddedServerError, or BenchError where a process or a result is amiss.
    """
    threads = config.threads or num_cores()
    with tempfile.TemporaryDirectory(prefix="rowmill-bench-") as name:
        folder = Path(name)
        throughput = [
            measure_throughput(
                build(workload, folder, config),
                folder,
                max_rows=config.max_rows,
                threads=threads,
                repeats=config.repeats,
                progress=progress,
            )
            for workload in config.workloads
        ]
        memory = measure_memory(
            folder,
            config.memory_inputs,
            max_rows=config.max_rows,
            progress=progress,
        )
    return SampleBenchReport(
        machine=f"{cpu_name()}, {os.cpu_count()} CPUs",
        threads=threads,
        max_rows=config.max_rows,
        throughput=throughput,
        memory=memory,
    )
