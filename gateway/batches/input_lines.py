"""InputLines: an input file, a line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobs.dataset.record import JsonLine, LongLine, Raw


@dataclass(frozen=True, slots=True)
class InputLine:
    """`number`: from 1, with blank lines counted, which are none."""

    number: int
    raw: Raw


def input_lines(path: Path, max_bytes: int) -> Iterator[InputLine]:
    """Of longer lines nothing is kept: they can't be parsed. Raises OSError as files do."""
    with path.open("rb") as file:
        number = 0
        while text := file.readline(max_bytes + 1):
            number += 1
            if len(text) > max_bytes and not text.endswith(b"\n"):
                _read_past_line(file, max_bytes)
                yield InputLine(number, LongLine(max_bytes))
            elif text.strip():
                yield InputLine(number, JsonLine(text))


def _read_past_line(file: BinaryIO, size: int) -> None:
    while (rest := file.readline(size)) and not rest.endswith(b"\n"):
        pass
