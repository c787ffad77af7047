"""Finds IDs that come twice, among more of them than fit in memory."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

_DIGEST_BYTES = 16
_ENTRY_BYTES = _DIGEST_BYTES + 8
_NUM_BUCKETS = 256  # one per value of a digest's first byte
_ENTRIES_IN_MEMORY = 2**18


class SeenIds:
    """IDs by their digests, in buckets which go to files as memory fills: 24 bytes an ID.

    Use it in a `with`, after which the files are gone. They are made in a new folder inside
    `scratch`, which by default is where the system puts temporary files; writing them may raise
    OSError.
    """

    def __init__(
        self, scratch: Path | None = None, *, entries_in_memory: int = _ENTRIES_IN_MEMORY
    ) -> None:
        self._scratch = scratch
        self._entries_in_memory = entries_in_memory
        self._folder: TemporaryDirectory[str] | None = None
        self._buckets = [bytearray() for _ in range(_NUM_BUCKETS)]
        self._held = 0

    def add(self, input_id: str, index: int) -> None:
        digest = hashlib.blake2b(input_id.encode("utf-8"), digest_size=_DIGEST_BYTES).digest()
        # Big-endian: entries of one ID are then sorted by their index.
        self._buckets[digest[0]] += digest + index.to_bytes(8, "big")
        self._held += 1
        if self._held >= self._entries_in_memory:
            self._spill()

    def first_duplicate(self) -> tuple[int, int] | None:
        """The lowest index whose ID was there before, after the one before; None without any."""
        found = [pair for bucket in range(_NUM_BUCKETS) for pair in self._duplicates(bucket)]
        return min(found, key=lambda pair: pair[1], default=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="ids-", dir=self._scratch)
        for number, entries in enumerate(self._buckets):
            with self._file(number).open("ab") as file:
                file.write(entries)
            entries.clear()
        self._held = 0

    def _duplicates(self, bucket: int) -> list[tuple[int, int]]:
        """The first pair of the bucket, if any, in a list."""
        spilled = self._file(bucket).read_bytes() if self._folder is not None else b""
        data = spilled + self._buckets[bucket]
        starts = range(0, len(data), _ENTRY_BYTES)
        entries = sorted(data[start : start + _ENTRY_BYTES] for start in starts)
        pairs = (
            (_index(entry), _index(following))
            for entry, following in pairwise(entries)
            if entry[:_DIGEST_BYTES] == following[:_DIGEST_BYTES]
        )
        first = min(pairs, key=lambda pair: pair[1], default=None)
        return [] if first is None else [first]

    def _file(self, bucket: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / str(bucket)


def _index(entry: bytes) -> int:
    return int.from_bytes(entry[_DIGEST_BYTES:], "big")
