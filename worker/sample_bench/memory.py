"""How large the command and the server become, with an engine that costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from jobs.connection import open_connection
from worker.bench_process import BenchProcess
from worker.embedded import embedded_server
from worker.queue_bench.payload import NUM_TOKENS
from worker.sample_bench.sampler import sample
from worker.sample_bench.server_memory import ServerMemory
from worker.sample_bench.workload import questions

_QUEUE = "bench"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigure:
    """Of one run. The server's are above what it took before."""

    num_inputs: int
    inputs_per_second: float
    sampler_peak_bytes: int
    server_base_bytes: int
    """Resident, before."""
    server_peak_bytes: int
    """Of data."""
    server_peak_resident_bytes: int


def measure_memory(
    folder: Path,
    sizes: tuple[int, ...],
    *,
    max_rows: int,
    progress: Callable[[str], None],
) -> list[MemoryFigure]:
    """A run of each size on a server of its own, with the real worker."""
    return [_measure(folder, size, max_rows, progress) for size in sizes]


def _measure(
    folder: Path, size: int, max_rows: int, progress: Callable[[str], None]
) -> MemoryFigure:
    progress(f"memory: {size:,} inputs")
    place = folder / f"memory-{size}"
    place.mkdir()
    workload = questions(place, size, num_samples=1)
    with (
        embedded_server() as url,
        open_connection(url) as connection,
        BenchProcess(
            "worker.queue_bench.rowmill_process",
            url=url,
            queue=_QUEUE,
            max_rows=max_rows,
            is_burst=False,
        ) as worker,
        ServerMemory(connection) as memory,
    ):
        worker.go()
        its = sample(
            url,
            _QUEUE,
            workload.inputs,
            place / "out",
            num_samples=workload.num_samples,
            max_tokens=NUM_TOKENS,
        )
        worker.stop()
    return MemoryFigure(
        num_inputs=its.inputs,
        inputs_per_second=its.inputs / its.seconds,
        sampler_peak_bytes=its.peak_bytes,
        server_base_bytes=memory.base_resident_bytes,
        server_peak_bytes=memory.peak_bytes - memory.base_bytes,
        server_peak_resident_bytes=memory.peak_resident_bytes - memory.base_resident_bytes,
    )
