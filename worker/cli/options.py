"""Options that several commands share, and which server they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.server_url import secrets_of
from worker.cli.log_format import LogFormat, LogLevel
from worker.cli.reporting import warn
from worker.config import REDIS_VARIABLE, redis_from_environment
from worker.embedded import default_folder, socket_url

Redis = Annotated[
    str | None,
    typer.Option(
        help=f"Server, redis:// or unix://; else {REDIS_VARIABLE}, else the embedded one of --data",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the embedded server.",
        show_default="~/.local/share/rowmill",
    ),
]
Threads = Annotated[
    int | None,
    # With more, torch may end the process without a word.
    typer.Option(min=1, max=512, help="CPU threads.", show_default="torch's choice"),
]
LogForm = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Readable lines, or a JSON object in each."),
]
LogLeast = Annotated[
    LogLevel | None,
    typer.Option("--log-level", help="The least that is logged.", show_default="info"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Log warnings and errors only.")]
MetricsHost = Annotated[
    str, typer.Option(help="Address to serve metrics on; they ask for no password.")
]
Queue = Annotated[str, typer.Option(help="Name of the queue.")]


def metrics_port_option(serves: str) -> Any:
    """The option of that name; `serves`: what is there."""
    help = f"Serve {serves} by HTTP there; 0: on a free one."
    return typer.Option(min=0, max=65535, help=help, show_default="off")


def given_url(redis: str | None) -> str | None:
    """The server that a person names; warns of a password where others can read it."""
    if redis and secrets_of(redis):
        warn(f"the password in --redis shows in the list of processes: set {REDIS_VARIABLE}")
    return redis or redis_from_environment()


def server_url(redis: str | None, data: Path | None) -> str:
    """The server that a producer or reader talks to."""
    return given_url(redis) or socket_url(data or default_folder())


def names(text: str) -> tuple[str, ...]:
    """Of a list with commas between."""
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)
