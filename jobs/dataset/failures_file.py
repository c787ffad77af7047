"""FailuresFile: failures.jsonl, a line for each input that lacks rows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jobs.dataset.failure import Failure
from jobs.dataset.placing import put_in_place


class FailuresFile:
    """Lines stand in the order in which their parts were completed."""

    def __init__(self, path: Path, temporary: Path) -> None:
        self._path = path
        self._temporary = temporary

    def add(self, failures: Iterable[Failure]) -> None:
        lines = [failure.line() for failure in failures]
        if not lines:
            return
        with open(self._path, "a") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, keeps: Callable[[int], bool], more: Iterable[Failure] = ()) -> None:
        """Keeps the lines of some inputs, by their index, and adds others, each input once."""
        if not self._path.exists() and not (more := list(more)):
            return
        seen: set[int] = set()
        with open(self._temporary, "w") as file:
            for index, line in self._lines():
                if keeps(index) and index not in seen:
                    seen.add(index)
                    file.write(line)
            file.writelines(failure.line() for failure in more if failure.index not in seen)
        put_in_place(self._temporary, self._path)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Without a last line that is cut short, be it by its end of line."""
        with contextlib.suppress(FileNotFoundError), open(self._path) as file:
            for line in file:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    yield int(json.loads(line)["index"]), line.rstrip("\n") + "\n"
