"""A Parquet file, read a small batch at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from jobs.dataset.errors import InputFileError, LineError
from jobs.dataset.record import Raw

# Rows are decoded by the batch: few enough that long prompts fit in memory.
_BATCH_ROWS = 256
# Of each column: without it, a column is read by the row group.
_BUFFER_BYTES = 2**20
_UNREADABLE = (OSError, ValueError, pyarrow.ArrowException)


class ParquetRow:
    """A row of a batch."""

    __slots__ = ("_batch", "_row")

    def __init__(self, batch: Any, row: int) -> None:
        self._batch = batch
        self._row = row

    def record(self) -> dict[str, Any]:
        columns = zip(self._batch.schema.names, self._batch.columns, strict=True)
        try:
            return {name: column[self._row].as_py() for name, column in columns}
        except (ValueError, OverflowError, pyarrow.ArrowException) as error:
            raise LineError(f"holds a value that can't be read: {error}") from error


class ParquetFile:
    """The rows of a file, of which only `columns` are read; those that it lacks are left out.

    `name` is what errors and locations call it. Raises InputFileError where the file is not
    Parquet or is damaged.
    """

    def __init__(self, path: Path, name: str, columns: Collection[str]) -> None:
        self._name = name
        try:
            self._file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
            self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        except _UNREADABLE as error:
            raise InputFileError(name, f"is no Parquet file that can be read: {error}") from error
        self._wanted = [column for column in self.columns if column in columns]
        meta = self._file.metadata
        sizes: list[int] = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        self._group_starts = list(accumulate(sizes, initial=0))
        self._num_rows: int = self._group_starts.pop()
        self._row = 0  # the next one
        self._batches: Iterator[Any] | None = None
        self._batch: Any = None  # holds the rows from _start up to _end
        self._start = self._end = 0

    def read(self) -> tuple[str, Raw] | None:
        """The next row with its location, or None at the end."""
        if self._row == self._num_rows:
            return None
        try:
            self._read_batch_of(self._row)
        except _UNREADABLE as error:
            place = f"{self._name} row {self._row + 1}"
            raise InputFileError(place, f"can't be read: {error}") from error
        raw = ParquetRow(self._batch, self._row - self._start)
        self._row += 1
        return f"{self._name} row {self._row}", raw

    def skip(self, count: int) -> int:
        """Passes over as many rows, or as many as there are; says how many those were."""
        passed = min(count, self._num_rows - self._row)
        self._row += passed
        return passed

    def share_read(self) -> float:
        """How much of the file is behind, from 0 to 1."""
        return self._row / max(self._num_rows, 1)

    def close(self) -> None:
        self._batches = self._batch = None
        self._file.close()

    def _read_batch_of(self, row: int) -> None:
        """Goes on to the batch that holds the row, past row groups unread."""
        group = bisect_right(self._group_starts, row) - 1
        if self._batches is None or self._group_starts[group] > self._end:
            groups = range(group, len(self._group_starts))
            self._batches = self._file.iter_batches(
                _BATCH_ROWS, row_groups=list(groups), columns=self._wanted, use_threads=False
            )
            self._start = self._end = self._group_starts[group]
        while self._end <= row:
            self._batch = next(self._batches)
            self._start, self._end = self._end, self._end + self._batch.num_rows
