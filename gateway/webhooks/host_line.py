"""HostLine: who waits for one host, so that a slow one holds up nobody else's webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_FIRST_GUESS = 0.01
_WEIGHT = 0.2
"""Of the newest request in the mean of their seconds."""


class HostLine:
    """At most `most` requests at a time, and as many that wait for their turn here; those that
    come then are put off until about when their turn would be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns = asyncio.Semaphore(most)
        self._num = 0
        self._seconds = _FIRST_GUESS
        """The mean of a request's."""
        self._end = 0.0
        """When the last one that was put off may come, by the loop's clock."""

    @property
    def is_full(self) -> bool:
        return self._num >= 2 * self._most

    @property
    def is_empty(self) -> bool:
        return self._num == 0

    def put_off(self, longest: float) -> float:
        """Seconds until the turn of one more that can't wait here."""
        now = asyncio.get_running_loop().time()
        # In half the time that it should take: rather come twice than leave the host idle.
        self._end = max(self._end, now + self._seconds) + self._seconds / self._most / 2
        return min(self._end - now, longest)

    def enter(self) -> None:
        """Count one in that is about to take its turn."""
        self._num += 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for one; within it the request is made. Who entered takes it, once."""
        try:
            async with self._turns:
                loop = asyncio.get_running_loop()
                started = loop.time()
                yield
                self._seconds += _WEIGHT * (loop.time() - started - self._seconds)
        finally:
            self._num -= 1
