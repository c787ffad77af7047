"""`rowmill bench sample`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.options import Threads, names
from worker.cli.output_file import check_writable, write_json
from worker.cli.reporting import (
    BadInputError,
    FailureError,
    leave_on_sigterm,
    out,
    reported_errors,
)


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
        from bench.errors import BenchConfigError, BenchError
        from worker.sample_bench.config import SampleBenchConfig
        from worker.sample_bench.run import run
        from worker.sample_bench.table import tables

        if json is not None:
            check_writable("--json", json)  # now, not after the run
        asked: dict[str, Any] = {"threads": threads, "max_rows": max_rows, "repeats": repeats}
        asked["workloads"] = None if workloads is None else names(workloads)
        asked["memory_inputs"] = None if memory else ()
        leave_on_sigterm()
        try:
            config = dataclasses.replace(
                SampleBenchConfig.quick() if quick else SampleBenchConfig(),
                **{name: value for name, value in asked.items() if value is not None},
            )
            with out.status("bench") as status:
                report = run(config, status.update)
        except BenchConfigError as error:
            raise BadInputError(str(error)) from error
        except BenchError as error:
            raise FailureError(str(error)) from error
        for table in tables(report):
            out.print(table)
        if json is not None:
            write_json("--json", json, report.to_json())
