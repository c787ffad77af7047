"""Tells a file that is not what was meant from one with bad lines in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from jobs.dataset.errors import InputFileError, LineError
from jobs.dataset.inputs import ID_COLUMN, BadLine, Input
from jobs.dataset.source import Line

NUM_PROBED = 1000
"""Where not one of so many first lines is an input, the file is bad, and not its lines."""

_SHOWN_COLUMNS = 40


class Probe:
    """Looks at the first lines of a file: all, where there are fewer than NUM_PROBED.

    `columns`: the file's, where it tells them (Parquet). An `id_column` that is not ID_COLUMN was
    asked for, and so has to be in one of the lines.
    """

    def __init__(self, name: str, columns: tuple[str, ...] | None, id_column: str) -> None:
        self._name = name
        self._columns = columns
        self._id_column = id_column
        self._first: tuple[Line, Input | BadLine] | None = None
        self._num_lines = 0
        self._has_input = False
        self._has_id = False

    @property
    def is_open(self) -> bool:
        """Whether the next line is one of the first."""
        return self._num_lines < NUM_PROBED

    def add(self, line: Line, outcome: Input | BadLine) -> None:
        """Takes the next of the first lines. After the last: raises InputFileError."""
        self._first = self._first or (line, outcome)
        self._num_lines += 1
        self._has_input |= isinstance(outcome, Input)
        self._has_id |= outcome.id is not None
        if not self.is_open:
            self._judge()

    def end(self) -> None:
        """There are no more lines. Raises InputFileError."""
        if self.is_open:
            self._judge()

    def _judge(self) -> None:
        if self._first is None:
            raise InputFileError(self._name, "holds no input")
        line, outcome = self._first
        if not self._has_input:
            assert isinstance(outcome, BadLine)
            reason = f"{outcome.reason}; it has {self._shown_columns(line)}"
            among = f"none of the first {self._num_lines} lines of the file is an input"
            raise InputFileError(line.location, f"{reason} ({among})")
        if self._id_column != ID_COLUMN and not self._has_id:
            among = f"none of the first {self._num_lines} lines has an ID in {self._id_column!r}"
            raise InputFileError(self._name, f"{among}; it has {self._shown_columns(line)}")

    def _shown_columns(self, line: Line) -> str:
        if self._columns is not None:
            return shown_columns(self._columns)
        try:
            return shown_columns(line.record())
        except LineError:
            return shown_columns(())


def shown_columns(columns: Iterable[str]) -> str:
    """For people, and not too many of them."""
    shown = [column[:80] for column in islice(columns, _SHOWN_COLUMNS)]
    return f"the columns {', '.join(shown)}" if shown else "no columns"
