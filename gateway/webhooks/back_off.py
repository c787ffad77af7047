"""BackOff: when a webhook that failed is tried again."""

from __future__ import annotations

import random

_FACTOR = 3.0
_JITTER = 0.25


class BackOff:
    """Three times as long after each attempt, up to a quarter more or less, so that those that
    failed together do not come back together."""

    def __init__(self, first: float, longest: float, chance: random.Random) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance

    def seconds(self, attempt: int, asked_for: float | None = None) -> float:
        """After attempt 1, 2 ...; at least what the receiver asked for, within the longest wait."""
        # Beyond some power it is the longest anyway, or no float.
        wait = min(self._first * _FACTOR ** min(attempt - 1, 50), self._longest)
        wait *= self._chance.uniform(1 - _JITTER, 1 + _JITTER)
        return max(wait, min(asked_for or 0.0, self._longest))
