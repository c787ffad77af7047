"""`rowmill bench queue`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.bench_report import bench_errors, show_report
from worker.cli.output_file import check_writable
from worker.cli.reporting import leave_on_sigterm, out, reported_errors
from worker.embedded import embedded_server


def bench_queue(
    redis: Annotated[
        str | None,
        typer.Option(help="Server to measure on.", show_default="an embedded one, for the run"),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs of a turn.", show_default="4096")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Turns of every worker.", show_default="3")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A handful of jobs: a smoke test.")
    ] = False,
) -> None:
    """Measure what the queue costs, with an engine that costs nothing, next to RQ's SimpleWorker.

    Jobs per second, latency, commands and bytes per job, and the time of a claim in front of
    100,000 jobs. Compare only figures of one run. The defaults take about two minutes.
    """
    with reported_errors(), contextlib.ExitStack() as stack:
        from worker.queue_bench.config import QueueBenchConfig
        from worker.queue_bench.run import run
        from worker.queue_bench.table import tables

        if json is not None:
            check_writable("--json", json)  # now, not after the run
        asked: dict[str, Any] = {"num_jobs": jobs, "repeats": repeats}
        config = dataclasses.replace(
            QueueBenchConfig.quick() if quick else QueueBenchConfig(),
            **{name: value for name, value in asked.items() if value is not None},
        )
        leave_on_sigterm()
        url = redis or stack.enter_context(embedded_server())
        with bench_errors(), out.status("bench") as status:
            report = run(url, config, status.update)
        show_report(report, tables(report), json)
