"""KnownWorkers: what the workers of a queue can run, as they said some seconds ago at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.fresh import Fresh
from jobs import JobsError, ModelCard

_FRESH_SECONDS = 2.0

Cards = tuple[ModelCard, ...]


class KnownWorkers:
    """Asks the server once in two seconds for each queue, however many requests want to know."""

    def __init__(self, ask: Callable[[str], Awaitable[dict[str, ModelCard]]]) -> None:
        """`ask` tells the cards of a queue's workers."""
        self._ask = ask
        self._known = Fresh(self._read, _FRESH_SECONDS)

    async def cards(self, queue: str) -> Cards:
        """Of the workers that live; empty where there are none, or none can be asked."""
        return await self._known.of(queue)

    async def _read(self, queue: str) -> Cards:
        try:
            return tuple((await self._ask(queue)).values())
        except JobsError:  # what the request is for finds out itself whether the server is there
            return ()
