"""Rate: how fast a count has grown lately."""

from __future__ import annotations

import time


class Rate:
    """Asked at intervals that its user chooses."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    def per_second(self, count: int) -> float:
        """Since it was asked before, or made."""
        now = time.monotonic()
        seconds, grown = now - self._since, count - self._count
        self._since, self._count = now, count
        return round(grown / seconds, 1) if seconds > 0 else 0.0
