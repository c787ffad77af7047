"""Columns: what belongs to many rows, one row after the other. Shared by the packed formats."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from jobs.errors import WireError


def cut(column: tuple[Any, ...], lengths: Sequence[int]) -> list[tuple[Any, ...]]:
    """Each row's part of a column, whose lengths they are."""
    ends = accumulate(lengths)
    return [column[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def widths(num_top: int, num_tokens: int, lengths: Sequence[int]) -> list[int]:
    """How many top tokens each row has, which are as many for each token; or a WireError."""
    width, rest = divmod(num_top, num_tokens) if num_tokens else (0, 0)
    if rest or (num_top and not width):
        raise WireError(f"{num_top} top tokens for {num_tokens} tokens")
    return [width * length for length in lengths]
