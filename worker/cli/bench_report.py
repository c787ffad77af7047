"""What the bench commands have in common: how they fail, and how they show what they found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from rich.console import RenderableType

from worker.cli.output_file import write_json
from worker.cli.reporting import BadInputError, FailureError, out


class Report(Protocol):
    def to_json(self) -> dict[str, Any]: ...


@contextlib.contextmanager
def bench_errors() -> Iterator[None]:
    """A bad setting is bad input; what goes amiss in a run is a failure."""
    from bench.errors import BenchConfigError, BenchError

    try:
        yield
    except BenchConfigError as error:
        raise BadInputError(str(error)) from error
    except BenchError as error:
        raise FailureError(str(error)) from error


def show_report(report: Report, tables: Iterable[RenderableType], json: Path | None) -> None:
    """Print the tables, and write the report to the file that --json names, if any."""
    for table in tables:
        out.print(table)
    if json is not None:
        write_json("--json", json, report.to_json())
