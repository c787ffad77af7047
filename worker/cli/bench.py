"""`rowmill bench`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.names import PEERS, PLOT_SUFFIXES, SEQUENTIAL, WORKLOADS
from worker.cli.bench_report import bench_errors, show_report
from worker.cli.options import Threads, names
from worker.cli.output_file import check_writable
from worker.cli.reporting import (
    BadInputError,
    FailureError,
    leave_on_sigterm,
    out,
    reported_errors,
)

if TYPE_CHECKING:  # a light client has no torch, which the rest of bench needs
    from bench.report import BenchReport


def bench(
    context: typer.Context,
    workloads: Annotated[
        str,
        typer.Option(help=f"With commas between, of {', '.join(WORKLOADS)}.", show_default="all"),
    ] = ",".join(WORKLOADS),
    peers: Annotated[
        str,
        typer.Option(help=f"With commas between, of {', '.join(PEERS)}.", show_default="all"),
    ] = ",".join(PEERS),
    repeats: Annotated[int, typer.Option(min=1, help="Turns of every engine.")] = 5,
    peer_repeats: Annotated[
        int, typer.Option(min=1, help="Turns of transformers, which may take minutes each.")
    ] = 3,
    growth: Annotated[
        bool, typer.Option(help="Measure the time per row at growing sizes too.")
    ] = True,
    policy_cost: Annotated[
        bool, typer.Option(help="Measure the cost of reproducibility too.")
    ] = True,
    controls: Annotated[
        bool, typer.Option(help="Measure steps with sampling controls too.")
    ] = True,
    prefixes: Annotated[bool, typer.Option(help="Measure the prefix cache too.")] = True,
    memory: Annotated[bool, typer.Option(help="Measure memory too.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    threads: Threads = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw them, as .svg or .png.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A toy in place of the model: a smoke test.")
    ] = False,
) -> None:
    """Measure the engine side by side with others, on the same weights; or, with a command, the
    queue.

    Compare only figures of one run. The defaults take about half an hour on two cores.
    """
    with reported_errors():
        if context.invoked_subcommand is not None:
            _check_nothing_given(context)
            return
        import engine  # noqa: F401  (before torch, whose environment it prepares)
        from bench.config import BenchConfig
        from bench.run import run
        from bench.table import tables

        _check_files(json, plot, peers)
        with bench_errors():
            config = BenchConfig(
                workloads=names(workloads),
                peers=names(peers),
                repeats=repeats,
                peer_repeats=peer_repeats,
                device=device,
                dtype=dtype,
                num_threads=threads,
                is_quick=quick,
                has_growth=growth,
                has_policy_cost=policy_cost,
                has_controls=controls,
                has_prefixes=prefixes,
                has_memory=memory,
            )
            leave_on_sigterm()
            with out.status("bench") as status:
                report = run(config, status.update)
        show_report(report, tables(report), json)
        if plot is not None:
            _draw(report, plot)


def _check_nothing_given(context: typer.Context) -> None:
    """Options before a command are not for it, and nothing would come of them."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.replace("_", "-")
            command = context.invoked_subcommand
            raise BadInputError(f"--{option}: goes after {command!r}, if {command} takes it")


def _check_files(json: Path | None, plot: Path | None, peers: str) -> None:
    """What can be known to fail before the run."""
    if json is not None:
        check_writable("--json", json)
    if plot is None:
        return
    if find_spec("matplotlib") is None:
        raise FailureError("--plot needs matplotlib: pip install 'rowmill[bench]'")
    if plot.suffix not in PLOT_SUFFIXES:
        raise BadInputError(f"--plot: must end in {' or '.join(PLOT_SUFFIXES)}, not {plot}")
    if SEQUENTIAL not in names(peers):
        raise BadInputError(f"--plot shows ratios to {SEQUENTIAL}: --peers has to name it")
    check_writable("--plot", plot)


def _draw(report: BenchReport, plot: Path) -> None:
    from bench.plot import draw

    try:
        draw(report, plot)
    except OSError as error:
        raise BadInputError(f"--plot: {error}") from error
