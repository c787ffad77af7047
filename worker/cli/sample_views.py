"""What `rowmill sample` shows: the files, how far it is, and what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from vocab.display import display

if TYPE_CHECKING:  # they need pyarrow
    from jobs.dataset import Progress, SamplingRun, Survey

_SECONDS_BETWEEN_LINES = 10.0
_SHOWN_TOKENS = 400


@contextlib.contextmanager
def surveying(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Shows what a survey does, with the function that it is to tell."""
    if not console.is_terminal:
        yield lambda stage, share: None
        return
    with console.status("") as status:
        yield lambda stage, share: status.update(f"{stage} the inputs: {share:.0%}")


class ProgressView:
    """A bar, or where the console is no terminal a line every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._bar = Bar(
            # It alone gives way where a terminal is narrow.
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn(
                "{task.completed}/{task.total}  {task.fields[rest]}  ETA",
                table_column=Column(no_wrap=True),
            ),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=console,
        )
        self._task = self._bar.add_task("", total=None, rest="")

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                total=progress.num_inputs,
                completed=progress.num_done,
                rest=_rest(progress),
            )
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            done = f"{progress.num_done}/{progress.num_inputs} inputs"
            left = progress.seconds_left
            eta = "unknown" if left is None else _duration(left)
            self._say(f"{done}  {_rest(progress)}  ETA {eta}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def show_plan(console: Console, run: SamplingRun, found: Survey) -> None:
    """What `--dry-run` prints: counts, and the first prompt as the model would get it."""
    selected = run.config.selection.count(found.num_inputs)
    first = found.first
    tokens = first.job.prompt_tokens
    lines = [
        f"inputs     {found.num_inputs}, of which {selected} are selected",
        f"bad lines  {found.num_bad}{_first_bad(found)}",
        f"rows       {found.num_rows} of all inputs",
        f"first      {first.location}, id {first.id or 'none'}, seed {first.job.seed}",
        f"           {len(tokens)} prompt tokens, {first.job.num_samples} rows",
    ]
    shown = " ".join(map(str, tokens[:_SHOWN_TOKENS]))
    lines.append(f"tokens     {shown}{' ...' if len(tokens) > _SHOWN_TOKENS else ''}")
    if run.tokenizer is not None:
        lines.append(f"text       {display(tokens[:_SHOWN_TOKENS], run.tokenizer)!r}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _first_bad(found: Survey) -> str:
    its = found.first_bad
    return "" if its is None else f", the first: {its.location}: {its.reason}"


def show_end(console: Console, run: SamplingRun) -> None:
    progress, totals = run.progress, run.totals()
    lines = []
    if progress.num_new:
        lines.append(f"{_figures(progress)} in {_duration(progress.seconds)}")
    lines.append(
        f"{run.folder}: {totals['rows']} rows of {totals['inputs']} inputs, {totals['tokens']} "
        f"tokens; {totals['failed']} failed"
    )
    if totals["failed"]:
        lines.append("failures.jsonl there has the reasons; --retry-failures tries again")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _rest(progress: Progress) -> str:
    if progress.num_workers is None:
        return _figures(progress)
    is_one = progress.num_workers == 1
    return f"{_figures(progress)}  {progress.num_workers} worker{'' if is_one else 's'}"


def _figures(progress: Progress) -> str:
    speed = f"{progress.tokens_per_second:.0f} tokens/s"
    return f"{progress.num_rows} rows  {speed}  {progress.num_failed} failed"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
