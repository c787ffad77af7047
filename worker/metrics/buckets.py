"""Buckets: a histogram's counts, cheap enough for a step."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Counted:
    """Cumulative counts as Prometheus wants them: of values up to each bound, the last of all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Buckets:
    """One thread writes, any may read; a reader may miss the newest value in `total`."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; a value that equals one counts below it."""
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self._total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value, or so many equal ones."""
        self._counts[bisect_left(self.bounds, value)] += times
        self._total += value * times

    def counted(self) -> Counted:
        total, counts, sums = self._total, list(self._counts), 0
        cumulative = []
        for count in counts:
            sums += count
            cumulative.append(sums)
        return Counted(self.bounds, tuple(cumulative), total)
