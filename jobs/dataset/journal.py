"""Journal: the results of a part that is not complete yet, so that a run killed now loses none.

A file of records, appended and never changed. One record:

    offset  size  content
    0       4     CRC-32 of all that follows
    4       4     number of bytes of the body
    8       8     input index
    16      4     index of the first row
    20      4     number of rows; 0: the input failed
    24            the body: what was added, as MsgpackSerializer writes it

Integers are unsigned and little-endian. A record of index 2**64-1 means: inputs that failed before
are to be tried again. A process that dies leaves at most one record cut short, at the end, which
the next opening removes.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import zlib
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, BinaryIO

from jobs.dataset.failure import Failure
from jobs.sampled_rows import SampledRows
from jobs.wire import MsgpackSerializer

_HEADER = struct.Struct("<IIQII")
_CRC = struct.Struct("<I")
_TRY_AGAIN = 2**64 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class InputRows:
    """Rows of one input, with what else a part says of them.

    `first_row`: the index of the first; `prompt_tokens`: as int32, or None where the part shall
    not hold them.
    """

    index: int
    id: str | None
    seed: int
    first_row: int
    rows: SampledRows
    prompt_tokens: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    offset: int
    size: int


class Journal:
    """Opening reads what is there; a file that is missing is made. Raises OSError as files do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, list[_Place]] = {}
        self._failures: dict[int, _Place] = {}
        self.row_ends: dict[int, int] = {}
        """By input index: one more than the index of the last row that is here."""
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115, closed by close()
        self._end = 0
        self._is_synced = True
        for header, place in self._records():
            self._note(*header, place)
        self._file.truncate(self._end)

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Closes it and deletes the file."""
        self.close()
        self._path.unlink()

    @property
    def failed(self) -> Set[int]:
        """Indexes of the inputs that failed, as they are now."""
        return self._failures.keys()

    def add_rows(self, its: InputRows) -> None:
        body = {
            "id": its.id,
            "seed": its.seed,
            "rows": its.rows,
            "prompt_tokens": its.prompt_tokens,
        }
        self._append(its.index, its.first_row, len(its.rows.rows), body)

    def add_failure(self, failure: Failure) -> None:
        self._append(failure.index, 0, 0, dataclasses.asdict(failure))

    def forget_failures(self) -> None:
        """From now on the inputs that failed are as if they had not been tried."""
        if self._failures:
            self._append(_TRY_AGAIN, 0, 0, None)

    def sync(self) -> None:
        """Returns once all that was added is on the disk."""
        if not self._is_synced:
            os.fsync(self._file.fileno())
            self._is_synced = True

    def rows_of(self, index: int) -> Iterator[InputRows]:
        """The rows of an input, in the order of their indexes."""
        records = (self._read(place) for place in self._rows.get(index, ()))
        read = [
            InputRows(
                index=index,
                id=body["id"],
                seed=body["seed"],
                first_row=first_row,
                rows=body["rows"],
                prompt_tokens=body["prompt_tokens"],
            )
            for (first_row, body) in records
        ]
        return iter(sorted(read, key=lambda its: its.first_row))

    def failures(self) -> Iterator[Failure]:
        """What failed, in the order of the inputs."""
        for index in sorted(self._failures):
            _, body = self._read(self._failures[index])
            yield Failure(**body)

    def _append(self, index: int, first_row: int, num_rows: int, content: Any) -> None:
        body = MsgpackSerializer.dumps(content)
        rest = _HEADER.pack(0, len(body), index, first_row, num_rows)[_CRC.size :] + body
        record = memoryview(_CRC.pack(zlib.crc32(rest)) + rest)
        self._is_synced = False
        try:
            written = 0
            while written < len(record):
                written += self._file.write(record[written:])
        except OSError:  # a full disk; without the piece, the file stays readable to its end
            self._file.truncate(self._end)
            raise
        self._note(index, first_row, num_rows, _Place(self._end, len(record)))

    def _note(self, index: int, first_row: int, num_rows: int, place: _Place) -> None:
        self._end = place.offset + place.size
        if index == _TRY_AGAIN:
            self._failures.clear()
        elif num_rows:
            self._rows.setdefault(index, []).append(place)
            self.row_ends[index] = max(self.row_ends.get(index, 0), first_row + num_rows)
        else:
            self._failures[index] = place

    def _records(self) -> Iterator[tuple[tuple[int, int, int], _Place]]:
        """The records that are whole, up to the first that is not."""
        self._file.seek(0)
        offset = 0
        while len(header := self._file.read(_HEADER.size)) == _HEADER.size:
            crc, length, index, first_row, num_rows = _HEADER.unpack(header)
            body = self._file.read(length)
            if len(body) < length or zlib.crc32(header[_CRC.size :] + body) != crc:
                return
            size = _HEADER.size + length
            yield (index, first_row, num_rows), _Place(offset, size)
            offset += size

    def _read(self, place: _Place) -> tuple[int, Any]:
        """Index of the first row, and the body."""
        record = os.pread(self._file.fileno(), place.size, place.offset)
        first_row = _HEADER.unpack_from(record)[3]
        return first_row, MsgpackSerializer.loads(record[_HEADER.size :])
