"""Fresh: what was asked a moment ago, for all who want to know it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Fresh(Generic[Key, Answer]):
    """Asks once in so many seconds for each key, however many want to know at once."""

    def __init__(self, ask: Callable[[Key], Awaitable[Answer]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._known: dict[Key, tuple[float, Answer]] = {}
        self._turns: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, key: Key) -> Answer:
        """The answer, or one that is so many seconds old at most. Raises what asking does, which is
        not remembered."""
        async with self._turns[key]:
            known = self._known.get(key)
            if known is None or time.monotonic() >= known[0]:
                answer = await self._ask(key)
                known = self._known[key] = time.monotonic() + self._seconds, answer
            return known[1]
