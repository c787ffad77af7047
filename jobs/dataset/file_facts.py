"""What tells an input file from another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.dataset.errors import InputFileError

_BLOCK_BYTES = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """`name`: what locations call the file. `sha256`, in hexadecimal, is that of its bytes."""

    name: str
    num_bytes: int
    sha256: str


def read_facts(path: Path, name: str, on_block: Callable[[int], None]) -> FileFacts:
    """Reads the file once; `on_block` gets the size of each block of it.

    Raises InputFileError where it can't be read.
    """
    digest, num_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                num_bytes += len(block)
                on_block(len(block))
    except OSError as error:
        raise InputFileError(name, f"can't be read: {error.strerror}") from error
    return FileFacts(name=name, num_bytes=num_bytes, sha256=digest.hexdigest())
