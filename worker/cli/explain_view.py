"""What `rowmill result --explain` shows: a job's life, for people and for machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import JobLife, JobStatus, LifeEvent, LifeEventKind, LifePhase
from worker.cli.spans import ago, span

_COLOURS = {
    JobStatus.FINISHED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.QUEUED: "cyan",
}
_LOUD = {LifeEventKind.LOST, LifeEventKind.LATE, LifeEventKind.FAILED}


def as_json(life: JobLife) -> dict[str, Any]:
    """With the seconds of each phase; times are Unix times."""
    told = dataclasses.asdict(life)
    for phase, its in zip(life.phases, told["phases"], strict=True):
        its["seconds"] = round(phase.seconds(life.now), 6)
    return told


def show_life(console: Console, life: JobLife) -> None:
    head = Text.assemble(
        ("job ", "dim"), (life.job_id, "bold"), "  ", (life.status.value, _COLOURS[life.status])
    )
    console.print(head, soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(life):
        facts.add_row(name, Text(value))
    console.print(facts)
    console.print()
    console.print(_events(life))
    if life.phases:
        console.print()
        console.print(_phases(life))
    if life.error:
        console.print()
        console.print(Text(life.error.rstrip(), "red"), soft_wrap=True)


def _facts(life: JobLife) -> Iterator[tuple[str, str]]:
    tenant = "" if life.tenant is None else f", tenant {life.tenant}"
    yield "queue", f"{life.queue or 'unknown'}{tenant}"
    if life.prompt_tokens is not None:
        yield "asks for", f"{life.prompt_tokens} prompt tokens x {life.num_samples} rows"
    if life.created_at is not None:
        when = f"{_date(life.created_at)}, {ago(life.now - life.created_at)}"
        yield "created", f"{when} (by its producer's clock)"
    if life.deadline is not None:
        left = life.deadline - life.now
        yield (
            "deadline",
            f"{_date(life.deadline)}, {f'in {span(left)}' if left > 0 else ago(-left)}",
        )
    if life.num_rows is not None:
        yield "result", f"{life.num_rows} rows, {life.num_tokens} tokens"
    if life.worker is not None:
        yield "made by" if life.num_rows is not None else "ended by", f"worker {life.worker}"
    if life.num_rows is not None:
        is_known = {None: "unknown", True: "yes", False: "no"}
        yield "model", life.model or "unknown"
        yield "reproducible", is_known[life.reproducible]
    if life.retries_left is not None and life.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        yield "attempts left", str(life.retries_left)


def _events(life: JobLife) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("when (UTC)", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    if life.num_cut:
        table.add_row("...", "", f"{life.num_cut} events before are no longer known")
    if not life.events:
        table.add_row("", "", "nothing is noted: no worker has had it, or its server is older")
    before: float | None = None
    for event in life.events:
        after = "" if before is None else f"+{span(max(event.at - before, 0))}"
        style = "red" if event.kind in _LOUD else ""
        when = _date(event.at)
        if before is not None and _date(before)[:10] == when[:10]:
            when = when[11:]  # the day is told once
        table.add_row(when, after, Text(_sentence(event, life), style))
        before = event.at
    return table


def _sentence(event: LifeEvent, life: JobLife) -> str:
    worker = f"worker {event.worker or 'unknown'}"
    match event.kind:
        case LifeEventKind.PUSHED:
            return f"pushed to queue {life.queue or 'unknown'}"
        case LifeEventKind.DUE:
            return "its time has come: on the queue"
        case LifeEventKind.CLAIMED:
            return f"claimed by {worker}, attempt {event.attempt}"
        case LifeEventKind.RETURNED:
            return f"given back by {worker}, uncounted"
        case LifeEventKind.LOST:
            return f"lost: {worker} was silent for longer than its lease"
        case LifeEventKind.LATE:
            return f"fenced: {worker} came too late, with {event.brought or 'an outcome'}"
        case LifeEventKind.DROPPED:
            return f"{worker} stopped work on it, as it was no longer its own"
        case LifeEventKind.CANCELLED:
            return "cancelled"
        case _:
            return f"{event.kind.value}, by {worker}" if event.worker else event.kind.value


def _phases(life: JobLife) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("phase", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for phase in life.phases:
        table.add_row(phase.kind, span(phase.seconds(life.now)), _about(phase))
    return table


def _about(phase: LifePhase) -> str:
    words = []
    if phase.attempt is not None and phase.kind == "running":
        words.append(f"attempt {phase.attempt}")
    if phase.ended_by is not None and phase.kind == "running":
        words.append(phase.ended_by.value)
    if phase.end is None:
        words.append("so far")
    return ", ".join(words)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
