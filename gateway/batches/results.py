"""Results: what has come of a batch's requests, in a journal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from jobs import SampledRows
from jobs.dataset.failure import Failure
from jobs.dataset.journal import InputRows, Journal

_PROMPTS_PER_LINE = 2**16


def place_of(line_index: int, prompt: int) -> int:
    """By which a journal knows a prompt of a line, both from 0."""
    assert prompt < _PROMPTS_PER_LINE
    return line_index * _PROMPTS_PER_LINE + prompt


def line_of(place: int) -> int:
    return place // _PROMPTS_PER_LINE


class Results:
    """A dataset session's store. Nothing is put in place before all is there."""

    is_full = False

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._failures = {failure.index: failure for failure in self._journal.failures()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._journal.close()

    def __contains__(self, place: int) -> bool:
        return place in self._journal.row_ends or place in self._failures

    def get(self, place: int) -> SampledRows | Failure | None:
        """None where nothing has come."""
        if place in self._failures:
            return self._failures[place]
        for its in self._journal.rows_of(place):
            return its.rows
        return None

    def add_rows(self, its: InputRows) -> None:
        self._journal.add_rows(its)

    def add_failure(self, failure: Failure) -> None:
        self._journal.add_failure(failure)
        self._failures[failure.index] = failure

    def sync(self) -> None:
        self._journal.sync()

    def complete(self) -> None:
        """There are no parts."""
