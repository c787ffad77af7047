"""`rowmill demo`."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jobs import Client, SampledRows
from jobs.connection import open_connection
from worker.cli.output_file import check_writable, write_json
from worker.cli.reporting import leave_on_sigterm, out, reported_errors
from worker.demo import Demo, DemoFigures, claim, measure, rows_per_step
from worker.local_fleet import LocalFleet, local_fleet

_QUEUE = "demo"
_SHOWN = 4


def demo(
    questions: Annotated[int, typer.Option(min=1, help="How many questions to ask.")] = 256,
    num_samples: Annotated[int, typer.Option(min=1, help="Rows per question.")] = 4,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows per worker at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes, of one thread each.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Picks the questions and the jobs' seeds.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file.", show_default=False)
    ] = None,
) -> None:
    """Ask the shipped model arithmetic questions, through a queue and workers started for it."""
    with reported_errors():
        leave_on_sigterm()
        if json is not None:
            check_writable("--json", json)  # now, not after the run
        run = Demo(questions, num_samples, seed)
        with (
            # The model is too small for more threads: see performance.md.
            local_fleet(workers=workers, max_rows=max_rows, queue=_QUEUE, threads=1) as fleet,
            open_connection(fleet.url) as connection,
            Client(fleet.url, _QUEUE) as client,
        ):
            _wait_for_workers(connection, fleet)
            with _progress(len(run.jobs)) as advance:
                results, seconds = run.run(client, advance, fleet.check)
            fleet.workers.stop()  # each signs off with its last figures
            figures = measure(run, results, seconds, rows_per_step(connection))
        _show(run, results, figures)
        if json is not None:
            write_json("--json", json, dataclasses.asdict(figures))


def _wait_for_workers(connection: redis.Redis, fleet: LocalFleet) -> None:
    """Until every worker has loaded its model: set-up is not what the demo measures."""
    with out.status("starting workers"):
        while int(connection.scard(f"rq:workers:{_QUEUE}")) < fleet.workers.number:
            fleet.check()
            time.sleep(0.05)


@contextlib.contextmanager
def _progress(num_jobs: int) -> Iterator[Callable[[], None]]:
    """A bar that the yielded function advances; where output is no terminal, a line instead."""
    if not out.is_terminal:
        out.print(f"waiting for {num_jobs} jobs")
        yield lambda: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("jobs"), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("", total=num_jobs)
        yield lambda: progress.advance(task)


def _show(run: Demo, results: Sequence[SampledRows], figures: DemoFigures) -> None:
    for answer in itertools.islice(run.answered(results), _SHOWN):
        out.print(f"\n{answer.question.text}", style="bold", markup=False, highlight=False)
        for text, is_right in zip(answer.texts, answer.are_right, strict=True):
            mark = "right" if is_right else "wrong"
            out.print(f"  {mark}  {text}", markup=False, highlight=False)
    share = 100 * figures.rows_right / figures.rows
    out.print()
    out.print(f"rows right     {figures.rows_right} / {figures.rows}  ({share:.1f} %)")
    out.print(f"tokens/s       {figures.tokens_per_second:.0f}")
    out.print(f"jobs/s         {figures.jobs_per_second:.1f}")
    out.print(f"rows per step  {figures.rows_per_step:.1f}")
    out.print(f"SHA-256        {figures.sha256}")
    out.print(claim(results), highlight=False)
