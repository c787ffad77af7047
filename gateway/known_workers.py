"""KnownWorkers: what the workers of a queue can run, as they said some seconds ago at most."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from jobs import JobsError, ModelCard

_FRESH_SECONDS = 2.0

Cards = tuple[ModelCard, ...]


class KnownWorkers:
    """Asks the server once in two seconds for each queue, however many requests want to know."""

    def __init__(self, ask: Callable[[str], Awaitable[dict[str, ModelCard]]]) -> None:
        """`ask` tells the cards of a queue's workers."""
        self._ask = ask
        self._known: dict[str, tuple[float, Cards]] = {}

    async def cards(self, queue: str) -> Cards:
        """Of the workers that live; empty where there are none, or none can be asked."""
        until, cards = self._known.get(queue, (0.0, ()))
        if time.monotonic() < until:
            return cards
        if cards:  # meanwhile these do for others, and one request asks for all
            self._known[queue] = time.monotonic() + _FRESH_SECONDS, cards
        try:
            cards = tuple((await self._ask(queue)).values())
        except JobsError:  # what the request is for finds out itself whether the server is there
            cards = ()
        self._known[queue] = time.monotonic() + _FRESH_SECONDS, cards
        return cards
