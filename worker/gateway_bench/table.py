"""The figures of a gateway bench as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from worker.bench_table import table
from worker.gateway_bench.report import GatewayBenchReport

_MB = 1e6


def tables(report: GatewayBenchReport) -> Iterator[RenderableType]:
    """Everything that is to be printed, from top to bottom."""
    yield report.machine
    yield "\nA completion of one row on an idle machine, milliseconds"
    yield _latency(report)
    yield f"the gateway adds {report.overhead:.1f} ms (medians)"
    yield "\nStreams at once on one gateway process"
    yield _streams(report)


def _latency(report: GatewayBenchReport) -> Table:
    shown = table("", "median", "p95", "p99")
    for name, its in report.latency.items():
        shown.add_row(name, *(f"{value:.1f}" for value in (its.median, its.p95, its.p99)))
    return shown


def _streams(report: GatewayBenchReport) -> Table:
    shown = table("round", "streams", "finished", "events", "s", "first event s", "CPU s", "MB")
    shown.add_row("idle", *["-"] * 6, f"{report.idle_resident_bytes / _MB:.1f}")
    for number, its in enumerate(report.rounds, 1):
        shown.add_row(
            str(number),
            f"{its.streams:,}",
            f"{its.finished:,}",
            f"{its.events:,}",
            f"{its.seconds:.1f}",
            f"{its.median_first_event:.2f}",
            f"{its.gateway_cpu_seconds:.1f}",
            f"{its.resident_bytes / _MB:.1f}",
        )
    return shown
