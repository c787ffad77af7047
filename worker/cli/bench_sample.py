"""`rowmill bench sample`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.bench_report import bench_errors, show_report
from worker.cli.options import Threads, names
from worker.cli.output_file import check_writable
from worker.cli.reporting import leave_on_sigterm, out, reported_errors


def bench_sample(
    workloads: Annotated[
        str | None,
        typer.Option(help="With commas between, of questions, random.", show_default="both"),
    ] = None,
    memory: Annotated[bool, typer.Option(help="Measure memory too.")] = True,
    threads: Threads = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows that run at once.", show_default="64")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Turns of each.", show_default="3")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A handful of inputs: a smoke test.")
    ] = False,
) -> None:
    """Measure `rowmill sample` with one worker next to the bare engine, and what memory it takes.

    Compare only figures of one run. The defaults take about eight minutes.
    """
    with reported_errors():
        from worker.sample_bench.config import SampleBenchConfig
        from worker.sample_bench.run import run
        from worker.sample_bench.table import tables

        if json is not None:
            check_writable("--json", json)  # now, not after the run
        asked: dict[str, Any] = {"threads": threads, "max_rows": max_rows, "repeats": repeats}
        asked["workloads"] = None if workloads is None else names(workloads)
        asked["memory_inputs"] = None if memory else ()
        leave_on_sigterm()
        with bench_errors():
            config = dataclasses.replace(
                SampleBenchConfig.quick() if quick else SampleBenchConfig(),
                **{name: value for name, value in asked.items() if value is not None},
            )
            with out.status("bench") as status:
                report = run(config, status.update)
        show_report(report, tables(report), json)
