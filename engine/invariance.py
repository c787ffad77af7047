"""What keeps a row's bits independent of its neighbours; see docs/reproducibility.md.

A matrix product may take another path through the library for another number of rows, and then
rounds differently. Two measures; on some machines one is not enough, on others not the other:

- MKL's strict conditional numerical reproducibility, which `environment.py` asks for;
- shapes that stay on one path: the rows of every product are padded to a multiple of ROW_TILE,
  queries that share a call to QUERY_TILE, and the keys of a masked call to KEY_TILE.
"""

from __future__ import annotations

ROW_TILE = 16
QUERY_TILE = 4
KEY_TILE = 64

PREFILL_CHUNK = 512
"""Prompts are prefilled in chunks that start at multiples of this, whatever else a step does."""


def round_up(number: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple


def power_of_two(number: int, least: int) -> int:
    """The smallest `least * 2**n` that is at least `number`."""
    size = least
    while size < number:
        size *= 2
    return size
