"""The figures of a queue bench as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from worker.bench_table import table
from worker.queue_bench.claim_time import ClaimTime
from worker.queue_bench.report import QueueBenchReport
from worker.queue_bench.throughput import RQ, Throughput

_PHASES = {"push": "push many", "work": "work", "reading": "read"}


def tables(report: QueueBenchReport) -> Iterator[RenderableType]:
    """Everything that is to be printed, from top to bottom."""
    yield report.machine
    yield report.server
    yield "\nJobs per second, medians. Worker: from its start to the last result stored"
    yield "whole: until a client that reads meanwhile has the rows"
    yield _speeds(report.throughput)
    ours = next(iter(report.throughput.turns))
    yield f"{ours}: {report.throughput.ratio:.1f} times {RQ}"
    yield "\nWhat the server counts per job; commands also inside scripts"
    yield _counts(report.throughput)
    yield "\nMilliseconds from submit to result of one job on an idle worker"
    yield _latencies(report)
    yield "\nMilliseconds of a claim, median"
    yield _claims(report)


def _speeds(throughput: Throughput) -> Table:
    shown = table("", "worker", "whole", "submit", "submit many", "read")
    for system in throughput.turns:
        speeds = [throughput.speed(system, "worked")]
        its_whole = throughput.whole_speed(system) if system in throughput.whole else None
        others = [throughput.speed(system, of) for of in ("submitted", "submitted_many", "read")]
        cells = [*speeds, its_whole, *others]
        shown.add_row(system, *("" if cell is None else f"{cell:,.0f}" for cell in cells))
    return shown


def _counts(throughput: Throughput) -> Table:
    shown = table("", "", "commands", "round trips", "bytes in", "bytes out")
    for system in throughput.turns:
        for phase, heading in _PHASES.items():
            counts = throughput.counts(system, phase)
            shown.add_row(
                system if phase == "push" else "",
                heading,
                f"{counts.commands:.1f}",
                f"{counts.reads:.2f}",
                f"{counts.bytes_in:,.0f}",
                f"{counts.bytes_out:,.0f}",
            )
        shown.add_section()
    return shown


def _latencies(report: QueueBenchReport) -> Table:
    shown = table("", "median", "p95", "p99", "of it the engine")
    for system, latency in report.latency.items():
        shown.add_row(
            system,
            f"{latency.median:.2f}",
            f"{latency.p95:.2f}",
            f"{latency.p99:.2f}",
            f"{latency.engine:.3f}",
        )
    return shown


def _claims(report: QueueBenchReport) -> Table:
    shown = table("queued", "tenants", "ms", "relative")
    first: dict[int, ClaimTime] = {}
    for claim in report.claims:
        base = first.setdefault(claim.num_tenants, claim).milliseconds
        shown.add_row(
            f"{claim.num_queued:,}",
            str(claim.num_tenants or "none"),
            f"{claim.milliseconds:.2f}",
            f"{claim.milliseconds / base:.2f}",
        )
    return shown
