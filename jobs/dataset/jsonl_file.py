"""A file with a JSON object a line, plain or compressed, read as a stream."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow

from jobs.dataset.errors import InputFileError
from jobs.dataset.record import JsonLine, LongLine, Raw

MAX_LINE_BYTES = 64 * 2**20
"""Longer lines are passed over without being held in memory."""

_BUFFER_BYTES = 2**18
_BOM = b"\xef\xbb\xbf"


class JsonlFile:
    """The lines of a file. Blank ones count as lines of it and are none of its inputs.

    `name` is what errors and locations call it; `codec` is None, "gzip" or "zstd". Files of several
    gzip members or zstd frames are read to their end. Raises InputFileError where the file can't
    be read or its compressed data is cut off or damaged.
    """

    def __init__(self, path: Path, name: str, codec: str | None, max_line: int) -> None:
        self._name = name
        self._max_line = max_line
        self._number = 0
        self._num_bytes = path.stat().st_size
        self._file = pyarrow.OSFile(str(path))
        stream = self._file if codec is None else pyarrow.CompressedInputStream(self._file, codec)
        self._stream = io.BufferedReader(stream, _BUFFER_BYTES)

    def read(self) -> tuple[str, Raw] | None:
        """The next line with its location, or None at the end."""
        line = self._next_line()
        if line is None:
            return None
        raw = LongLine(self._max_line) if self._is_too_long(line) else JsonLine(line)
        return f"{self._name} line {self._number}", raw

    def skip(self, count: int) -> int:
        """Passes over as many lines, or as many as there are; says how many those were."""
        for passed in range(count):
            if self._next_line() is None:
                return passed
        return count

    def share_read(self) -> float:
        """How much of the file is behind, from 0 to 1."""
        return float(self._file.tell() / max(self._num_bytes, 1))

    def close(self) -> None:
        self._stream.close()
        self._file.close()

    def _next_line(self) -> bytes | None:
        """The next that is not blank. One that is too long is cut off, and its rest read past."""
        while line := self._read_line():
            self._number += 1
            if self._number == 1:
                line = line.removeprefix(_BOM)
            if self._is_too_long(line):
                self._read_past_line()
            if line.strip():
                return line
        return None

    def _is_too_long(self, line: bytes) -> bool:
        return len(line) > self._max_line and not line.endswith(b"\n")

    def _read_past_line(self) -> None:
        while (rest := self._read_line()) and not rest.endswith(b"\n"):
            pass

    def _read_line(self) -> bytes:
        try:
            return self._stream.readline(self._max_line + 1)
        except OSError as error:
            place = f"{self._name} line {self._number + 1}"
            raise InputFileError(place, f"can't be read: {error}") from error
