"""Source: the files of a dataset as one sequence of lines, read as a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from jobs.dataset.errors import InputFileError
from jobs.dataset.jsonl_file import MAX_LINE_BYTES, JsonlFile
from jobs.dataset.parquet_file import ParquetFile
from jobs.dataset.record import Raw

_JSONL = (".jsonl", ".ndjson")
_CODECS = {".gz": "gzip", ".zst": "zstd"}
_PARQUET = ".parquet"
KINDS = "a name that ends in .jsonl or .ndjson (plain, .gz or .zst) or in .parquet"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a JSONL file or a row of a Parquet file; blank lines are none.

    `index`: from 0, over all files in the order given. `location`: for people, as in "prompts.jsonl
    line 7" or "prompts.parquet row 7", from 1 and with blank lines counted.
    """

    index: int
    location: str
    raw: Raw

    def record(self) -> dict[str, Any]:
        """Its fields by name, parsed anew at each call. Raises LineError where it has none."""
        return self.raw.record()


class Source:
    """Files, each a JSONL file (plain, `.gz`, `.zst`) or a Parquet file, told by its name.

    Of Parquet files only `columns` are read. Raises InputFileError for a file that is missing, is
    none, can't be opened, or has another name.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        columns: Collection[str] = (),
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.paths = tuple(map(Path, paths))
        self._columns = frozenset(columns)
        self._max_line_bytes = max_line_bytes
        # Names are shorter than paths, and say the same wherever the folder lies.
        names = [path.name for path in self.paths]
        is_clear = len(set(names)) == len(names)
        self.names = tuple(names if is_clear else map(str, self.paths))
        for path in self.paths:
            _check(path)

    def lines(self) -> Lines:
        """All lines from the first on. Close it, or use it in a `with`."""
        return Lines(self)

    def columns_of(self, number: int) -> tuple[str, ...] | None:
        """All columns of a Parquet file; None of a JSONL file, whose lines may all differ."""
        file = self.open(number)
        columns = file.columns if isinstance(file, ParquetFile) else None
        file.close()
        return columns

    def open(self, number: int) -> InputFile:
        """Opens the file of that number, from 0."""
        path, name = self.paths[number], self.names[number]
        try:
            if path.suffix == _PARQUET:
                return ParquetFile(path, name, self._columns)
            codec = _CODECS.get(path.suffix)
            return JsonlFile(path, name, codec, self._max_line_bytes)
        except OSError as error:
            raise InputFileError(name, f"can't be read: {error.strerror or error}") from error


class InputFile(Protocol):
    """A file that is being read."""

    def read(self) -> tuple[str, Raw] | None:
        """The next line with its location, or None at the end. Raises InputFileError."""

    def skip(self, count: int) -> int:
        """Passes over as many lines, or as many as there are; says how many those were."""

    def share_read(self) -> float:
        """How much of the file is behind, from 0 to 1."""

    def close(self) -> None: ...


class Lines:
    """Iterates over the lines of a source. Raises InputFileError where a file breaks off."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._file: InputFile | None = None
        self.file_number = -1
        """Of the file that the last line was read from."""
        self.index = 0
        """Of the next line."""

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        while self._file is not None or self._open_next():
            assert self._file is not None
            read = self._file.read()
            if read is not None:
                line = Line(self.index, *read)
                self.index += 1
                return line
            self.close()
        raise StopIteration

    def skip(self, count: int) -> int:
        """Passes over the next `count` lines, or as many as there are; says how many those were.

        Nothing of them is parsed, and whole row groups of Parquet files are not even read.
        """
        left = count
        while left > 0 and (self._file is not None or self._open_next()):
            assert self._file is not None
            passed = self._file.skip(left)
            left -= passed
            self.index += passed
            if left > 0:
                self.close()
        return count - left

    def share_read(self) -> float:
        """How much of the files is behind, from 0 to 1, each counted alike."""
        here = 0.0 if self._file is None else self._file.share_read()
        behind = self.file_number if self._file is not None else self.file_number + 1
        return (behind + here) / max(len(self._source.paths), 1)

    def close(self) -> None:
        """Closes the file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_next(self) -> bool:
        if self.file_number + 1 >= len(self._source.paths):
            return False
        self.file_number += 1
        self._file = self._source.open(self.file_number)
        return True


def _check(path: Path) -> None:
    """Raises InputFileError for what is no file of a known kind that may be read.

    It names the whole path: the mistake may be in any part of it.
    """
    plain = path.with_suffix("") if path.suffix in _CODECS else path
    try:
        if not path.exists():
            raise InputFileError(str(path), "no such file")
        if path.is_dir():
            raise InputFileError(str(path), "is a folder, not a file")
        if not path.is_file():
            raise InputFileError(str(path), "is no regular file: it is read more than once")
        if plain.suffix not in _JSONL and path.suffix != _PARQUET:
            raise InputFileError(str(path), f"is of no known kind; what is read has {KINDS}")
        path.open("rb").close()
    except OSError as error:
        raise InputFileError(str(path), f"can't be read: {error.strerror}") from error
