"""`rowmill bench gateway`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.bench_report import bench_errors, show_report
from worker.cli.output_file import check_writable
from worker.cli.reporting import leave_on_sigterm, out, reported_errors


def bench_gateway(
    requests: Annotated[
        int | None, typer.Option(min=3, help="Requests of each kind.", show_default="300")
    ] = None,
    streams: Annotated[
        int | None, typer.Option(min=1, help="Streams at once.", show_default="500")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of streams.", show_default="5")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A handful of requests: a smoke test.")
    ] = False,
) -> None:
    """Measure a completion through the gateway next to the client alone, and many streams at once.

    Compare only figures of one run, on a machine that does nothing else.
    """
    with reported_errors():
        from worker.gateway_bench.config import GatewayBenchConfig
        from worker.gateway_bench.run import run
        from worker.gateway_bench.table import tables

        if json is not None:
            check_writable("--json", json)  # now, not after the run
        asked = {"requests": requests, "streams": streams, "rounds": rounds}
        leave_on_sigterm()
        with bench_errors():
            config = dataclasses.replace(
                GatewayBenchConfig.quick() if quick else GatewayBenchConfig(),
                **{name: value for name, value in asked.items() if value is not None},
            )
            with out.status("bench") as status:
                report = run(config, status.update)
        show_report(report, tables(report), json)
