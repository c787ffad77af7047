"""`rowmill top`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from typing import Annotated, Any

import typer
from rich.live import Live

from jobs import (
    Client,
    LoginRefusedError,
    Overview,
    PermissionDeniedError,
    ServerUnavailableError,
)
from jobs.connection import open_connection, with_timeout
from worker.cli.keyboard import keyboard
from worker.cli.options import Data, Redis, server_url
from worker.cli.reporting import leave_on_sigterm, out, reported_errors
from worker.cli.spans import clock_time
from worker.cli.top_view import OverviewView

_PATIENCE = 2.0
"""Seconds for an answer: the view says sooner than others that there is none."""
_LONGEST_WAIT = 0.25
"""Seconds between looks at the keys, and at the terminal's width."""


def top(
    queue: Annotated[
        str | None,
        typer.Option(help="Show this queue and its tenants only.", show_default="all queues"),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between pictures.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="As a JSON line instead; with --once a single one.")
    ] = False,
    redis: Redis = None,
    data: Data = None,
) -> None:
    """Watch queues, workers and recent failures.

    It reads the server alone, and needs a login that may read workers' records: an operator's, or
    with --queue a worker's. q or Ctrl+C ends it. Where output is no terminal it prints one picture.
    """
    with reported_errors(), open_connection(server_url(redis, data)) as opened:
        patient = with_timeout(opened, _PATIENCE)
        with patient, Client(patient, queue or "rowmill") as client:
            watch = Watch(client, everywhere=queue is None)
            if as_json:
                _print_lines(watch, interval, once=once)
            elif once or not out.is_terminal:
                out.print(OverviewView(watch.look()))
            else:
                _draw(watch, interval)


class Watch:
    """The newest overview that could be had."""

    def __init__(self, client: Client, *, everywhere: bool) -> None:
        self._client = client
        self._everywhere = everywhere
        self._overview: Overview | None = None
        self._trouble: str | None = None
        self._lost_at: float | None = None

    def look(self) -> Overview:
        """Raises ServerUnavailableError."""
        return self._client.overview(everywhere=self._everywhere)

    def view(self) -> OverviewView:
        """One that says since when there is no server, where there is none.

        Raises LoginRefusedError and PermissionDeniedError: waiting does not help against those.
        """
        try:
            self._overview, self._trouble, self._lost_at = self.look(), None, None
        except (LoginRefusedError, PermissionDeniedError):
            raise
        except ServerUnavailableError as error:
            self._lost_at = self._lost_at or time.time()
            self._trouble = f"no server since {clock_time(self._lost_at)} UTC: {error}"
        return OverviewView(self._overview, self._trouble)


def _draw(watch: Watch, interval: float) -> None:
    leave_on_sigterm()  # by the way that gives the terminal back
    live = Live(watch.view(), console=out, screen=True, auto_refresh=False)
    with keyboard() as keys, contextlib.ExitStack() as stack:
        stack.callback(live.stop)  # also where a signal comes while it starts
        live.start(refresh=True)
        next_look = time.monotonic() + interval
        while keys.wait(min(_LONGEST_WAIT, interval)).lower() != "q":
            if time.monotonic() >= next_look:
                live.update(watch.view())
                next_look = time.monotonic() + interval
            live.refresh()


def _print_lines(watch: Watch, interval: float, *, once: bool) -> None:
    while True:
        try:
            typer.echo(json.dumps(as_dict(watch.look())))
        except (LoginRefusedError, PermissionDeniedError):
            raise
        except ServerUnavailableError as error:
            if once:
                raise
            typer.echo(json.dumps({"error": str(error)}))
        if once:
            return
        time.sleep(interval)


def as_dict(overview: Overview) -> dict[str, Any]:
    """For JSON, with the totals."""
    totals = dataclasses.asdict(overview.totals)
    return {**dataclasses.asdict(overview), "totals": totals}
