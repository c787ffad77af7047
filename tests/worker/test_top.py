"""`rowmill top` draws what the server knows, at any width, and outlasts the server."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs import Client, FailureView, Overview, QueueView, WorkerView
from jobs.connection import open_connection
from tests.waiting import until
from worker.cli import app
from worker.cli.spans import span
from worker.cli.top import Watch
from worker.cli.top_view import OverviewView
from worker.embedded import embedded_server

WORKER = WorkerView(
    **{"name": "w" * 32, "host": "host-1", "model_name": "demo", "state": "busy"},
    **{"running_rows": 12, "max_rows": 64, "tokens_per_second": 345.6, "heartbeat_seconds": 1.5},
    **{"kv_tokens": 50, "kv_budget_tokens": 100, "reproducible": False, "lease": 15.0},
    **{"late_results": 7, "memory_shortages": 9, "num_failed": 8},
)
COUNTS = {"num_waiting": 1234, "num_running": 5, "num_scheduled": 6}
QUEUE = QueueView(
    **{"queue": "rowmill", "tenant": "[red]acme", "oldest_seconds": 200.0, **COUNTS},
    **{"num_finished": 70, "num_failed": 80, "num_cancelled": 90},
)
FAILURE = FailureView(
    **{"job_id": "job-1", "queue": "rowmill", "tenant": None, "at": 900.0, "worker": "w"},
    reason="[bold]it broke[/] " + "x" * 300,
)
OVERVIEW = Overview(
    now=1000.0,
    queues=(QUEUE,),
    workers=(WORKER,),
    failures=(FAILURE,),
    num_queues_left_out=3,
)


def drawn(view: OverviewView, width: int) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(view)
    return output.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_every_line_fits_the_terminal(width: int) -> None:
    text = drawn(OverviewView(OVERVIEW, "no server since 12:00:00"), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_wide_terminal_shows_all_and_what_others_wrote_as_it_is() -> None:
    text = drawn(OverviewView(OVERVIEW), 200)
    for word in (
        *("1234", "3 min 20 s", "rowmill@[red]acme", "wwwwwwww", "host-1", "12/64", "346", "50%"),
        *("1.5 s", "NO", "7", "8", "9", "job-1", "[bold]it broke[/]", "and 3 more queues"),
    ):
        assert word in text
    assert "1 min 40 s ago" in text


def test_a_narrow_terminal_keeps_what_matters_most() -> None:
    text = drawn(OverviewView(OVERVIEW), 56)
    for word in ("waiting", "oldest", "running", "rows", "tokens/s", "12/64"):
        assert word in text
    assert "host-1" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.004, "4 ms"),
        (2.54, "2.5 s"),
        (200, "3 min 20 s"),
        (5 * 3600 + 720, "5 h 12 min"),
        (9 * 86400, "9 d"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_server_that_goes_away_is_told_with_the_last_picture_until_it_is_back(
    folder: Path,
) -> None:
    with embedded_server(folder) as url:
        connection = open_connection(url)
        watch = Watch(Client(connection, "q"), everywhere=False)
        with Client(url, "q") as client:
            client.submit(prompt_tokens=[1])
        assert "1 waiting" in drawn(watch.view(), 100)
    away = drawn(watch.view(), 100)
    assert "no server since" in away and "1 waiting" in away
    with embedded_server(folder):
        back = drawn(watch.view(), 100)
    connection.close()
    assert "no server since" not in back and "1 waiting" in back


def test_where_output_is_no_terminal_one_picture_is_printed(url: str, client: Client) -> None:
    client.submit(prompt_tokens=[1])
    result = CliRunner().invoke(app, ["top", "--redis", url])
    assert result.exit_code == 0 and "1 waiting" in result.stdout and "no workers" in result.stdout
    result = CliRunner().invoke(app, ["top", "--redis", url, "--json", "--once"])
    told = json.loads(result.stdout)
    assert (told["totals"]["num_waiting"], told["workers"]) == (1, [])


def test_without_a_server_one_picture_is_an_error() -> None:
    for options in ((), ("--json", "--once")):
        result = CliRunner().invoke(app, ["top", "--redis", "redis://127.0.0.1:1/0", *options])
        assert result.exit_code == 3


@contextmanager
def _on_a_terminal(url: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`rowmill top` on a terminal of its own, and what stands for its keys and screen."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "worker.cli", "top", "--redis", url, "--interval", "0.1"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=env)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(ours)


@pytest.mark.parametrize(("end", "code"), [("q", 0), ("interrupt", 130), ("terminate", 143)])
def test_it_draws_until_it_is_told_to_end_and_gives_the_terminal_back(
    url: str, client: Client, end: str, code: int
) -> None:
    client.submit(prompt_tokens=[1])
    with _on_a_terminal(url) as (process, terminal):
        screen = bytearray()
        while b"1 waiting" not in screen:
            screen += os.read(terminal, 4096)
        if end == "q":
            os.write(terminal, b"q")
        else:
            process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGTERM)
        os.set_blocking(terminal, False)

        def has_ended() -> bool:
            try:
                screen.extend(os.read(terminal, 4096))
            except BlockingIOError:
                return process.poll() is not None
            return False

        until(has_ended, what="it to end")
        assert process.returncode == code
        assert b"\x1b[?1049l" in screen, "the screen of before is back"
        assert b"Traceback" not in screen
