"""What `rowmill top` draws: an overview as tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from jobs import FailureView, Overview, QueueView, WorkerView
from worker.cli.spans import ago, clock_time, span

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[T]):
    """`least_width`: of the terminal, below which the column is left out. `is_rest`: whether it has
    what the others leave."""

    title: str
    cell: Callable[[T], str | Text]
    least_width: int = 0
    is_number: bool = True
    is_rest: bool = False


class OverviewView:
    """Draws one overview; `trouble` is a line about what keeps it from being newer."""

    def __init__(self, overview: Overview | None, trouble: str | None = None) -> None:
        self._overview = overview
        self._trouble = trouble

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(*self._parts(options.max_width))

    def _parts(self, width: int) -> Iterator[RenderableType]:
        if self._trouble is not None:
            yield Text(self._trouble, "bold red")
        overview = self._overview
        if overview is None:
            return
        yield _headline(overview)
        yield Text()
        yield _table(_QUEUE_COLUMNS, overview.queues, width, "no queue yet")
        yield from _left_out(overview.num_queues_left_out, "queues with fewer jobs waiting")
        yield Text()
        yield _table(_WORKER_COLUMNS, overview.workers, width, "no workers")
        yield from _left_out(overview.num_workers_left_out, "workers")
        if overview.failures:
            yield Text()
            yield _failures(overview.failures, overview.now, width)


def _headline(overview: Overview) -> Columns:
    """Parts that stay whole where the line is broken."""
    totals = overview.totals
    num_silent = sum(worker.is_silent for worker in overview.workers)
    share = f" of {totals.max_rows}" if totals.max_rows else ""
    parts = [
        (f"{totals.num_waiting} waiting", "bold"),
        (f"{totals.num_running} running", ""),
        (f"{totals.num_failed} failed", "red" if totals.num_failed else ""),
        (f"{totals.running_rows}{share} rows", ""),
        (f"{totals.tokens_per_second:.0f} tokens/s", "bold"),
        (_counted(totals.num_workers, "worker"), "" if totals.num_workers else "red"),
        *([(f"{num_silent} silent", "red")] if num_silent else []),
        (f"{clock_time(overview.now)} UTC", "dim"),
    ]
    return Columns([Text(text, style) for text, style in parts], padding=(0, 3))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(columns: Sequence[Column[T]], items: Sequence[T], width: int, empty: str) -> Table:
    shown = [column for column in columns if column.least_width <= width]
    table = Table(
        box=None, padding=(0, 2 if width >= 80 else 1, 0, 0), header_style="dim", pad_edge=False
    )
    table.expand = any(column.is_rest for column in shown)
    for column in shown:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if column.is_rest else None,
        )
    for item in items:
        table.add_row(*(column.cell(item) for column in shown))
    if not items:
        table.add_row(Text(empty, "dim"))
    return table


def _left_out(number: int, what: str) -> Iterator[Text]:
    if number:
        yield Text(f"and {number} more {what}", "dim")


def _failures(failures: Sequence[FailureView], now: float, width: int) -> Table:
    def when(its: FailureView) -> str:
        return "" if its.at is None else ago(now - its.at)

    columns: list[Column[FailureView]] = [
        Column(title="failed", cell=when, is_number=False),
        Column(title="job", cell=lambda its: Text(its.job_id), is_number=False),
        Column(
            title="queue",
            cell=lambda its: Text(_with_tenant(its.queue, its.tenant)),
            is_number=False,
            least_width=120,
        ),
        Column(
            title="why", cell=lambda its: Text(its.reason, "red"), is_number=False, is_rest=True
        ),
    ]
    return _table(columns, failures, width, "")


def _with_tenant(queue: str, tenant: str | None) -> str:
    return queue if tenant is None else f"{queue}@{tenant}"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _name(worker: WorkerView) -> Text:
    return Text(worker.name[:8], "red" if worker.is_silent else "bold")


def _state(worker: WorkerView) -> Text:
    if worker.is_silent:
        return Text("silent", "red")
    return Text(worker.state or "", "green" if worker.state == "busy" else "dim")


def _rows(worker: WorkerView) -> str:
    if worker.running_rows is None:
        return ""
    most = "" if worker.max_rows is None else f"/{worker.max_rows}"
    return f"{worker.running_rows}{most}"


def _kv(worker: WorkerView) -> str:
    if worker.kv_tokens is None or not worker.kv_budget_tokens:
        return ""
    return f"{worker.kv_tokens / worker.kv_budget_tokens:.0%}"


def _beat(worker: WorkerView) -> Text:
    return Text(_age(worker.heartbeat_seconds), "red" if worker.is_silent else "")


def _is_reproducible(worker: WorkerView) -> Text:
    if worker.reproducible is None:
        return Text("")
    return Text("yes") if worker.reproducible else Text("NO", "yellow")


def _model(worker: WorkerView) -> Text:
    return Text(worker.model_name or (worker.model or "")[:8])


def _count(number: int, style: str = "red") -> Text:
    return Text(str(number), style if number else "dim")


_QUEUE_COLUMNS: list[Column[QueueView]] = [
    Column(
        title="queue", cell=lambda its: Text(_with_tenant(its.queue, its.tenant)), is_number=False
    ),
    Column(title="waiting", cell=lambda its: str(its.num_waiting)),
    Column(title="oldest", cell=lambda its: _age(its.oldest_seconds)),
    Column(title="running", cell=lambda its: str(its.num_running)),
    Column(title="later", cell=lambda its: str(its.num_scheduled), least_width=80),
    Column(title="failed", cell=lambda its: _count(its.num_failed)),
    Column(title="finished", cell=lambda its: str(its.num_finished), least_width=60),
    Column(title="cancelled", cell=lambda its: str(its.num_cancelled), least_width=100),
]

_WORKER_COLUMNS: list[Column[WorkerView]] = [
    Column(title="worker", cell=_name, is_number=False),
    Column(title="host", cell=lambda its: Text(its.host or ""), is_number=False, least_width=80),
    Column(title="model", cell=_model, is_number=False, least_width=100),
    Column(title="state", cell=_state, is_number=False),
    Column(title="rows", cell=_rows),
    Column(
        title="tokens/s",
        cell=lambda its: "" if its.tokens_per_second is None else f"{its.tokens_per_second:.0f}",
    ),
    Column(title="KV", cell=_kv, least_width=60),
    Column(title="beat", cell=_beat, least_width=50),
    Column(title="same bits", cell=_is_reproducible, least_width=90),
    Column(title="failed", cell=lambda its: _count(its.num_failed), least_width=100),
    Column(title="late", cell=lambda its: _count(its.late_results, "yellow"), least_width=110),
    Column(
        title="no memory", cell=lambda its: _count(its.memory_shortages, "yellow"), least_width=120
    ),
]
