"""The figures of a sample bench as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from worker.bench_table import table
from worker.sample_bench.memory import MemoryFigure
from worker.sample_bench.report import SampleBenchReport
from worker.sample_bench.throughput import Throughput

_MB = 1e6


def tables(report: SampleBenchReport) -> Iterator[RenderableType]:
    """Everything that is to be printed, from top to bottom."""
    yield report.machine
    if report.throughput:
        rows = f"{report.max_rows} rows at once"
        yield f"\nTokens per second, medians; threads: {report.threads}, {rows}"
        yield _speeds(report.throughput)
    if report.memory:
        yield "\nWith an engine that costs nothing. MB at most: of the sampler's process; of the"
        yield "server's data and process, above what they were before"
        yield _memory(report.memory)


def _speeds(throughput: Sequence[Throughput]) -> Table:
    shown = table("", "inputs", "rows", "engine", "rowmill sample", "of the engine")
    for its in throughput:
        shown.add_row(
            its.workload,
            f"{its.inputs:,}",
            f"{its.rows:,}",
            f"{its.bare_speed:,.0f}",
            f"{its.sampled_speed:,.0f}",
            f"{its.ratio:.1%}",
        )
    return shown


def _memory(figures: Sequence[MemoryFigure]) -> Table:
    shown = table("inputs", "inputs/s", "sampler", "server's data", "server")
    for its in figures:
        shown.add_row(
            f"{its.num_inputs:,}",
            f"{its.inputs_per_second:,.0f}",
            f"{its.sampler_peak_bytes / _MB:,.0f}",
            f"{its.server_peak_bytes / _MB:,.1f}",
            f"{its.server_peak_resident_bytes / _MB:,.1f}",
        )
    return shown
