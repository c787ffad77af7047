"""Glances: what overviews told a moment ago."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from jobs import JobsError, Overview

_FRESH_SECONDS = 1.0

Look = Callable[[str, str | None], Awaitable[Overview]]


class Glances:
    """Asks the server once in a second for each caller's view, however many pages are open."""

    def __init__(self, look: Look) -> None:
        """`look` reads the overview of a queue, or of a tenant's share of it."""
        self._look = look
        self._turns: defaultdict[tuple[str, str | None], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: dict[tuple[str, str | None], tuple[float, Overview | JobsError]] = {}

    async def overview(self, queue: str, tenant: str | None) -> Overview:
        """Raises JobsError, also one that another caller has met a moment ago."""
        whose = queue, tenant
        async with self._turns[whose]:
            until, outcome = self._known.get(whose, (0.0, None))
            if outcome is None or time.monotonic() >= until:
                outcome = await self._read(queue, tenant)
                self._known[whose] = time.monotonic() + _FRESH_SECONDS, outcome
        if isinstance(outcome, JobsError):
            raise outcome.with_traceback(None)
        return outcome

    async def _read(self, queue: str, tenant: str | None) -> Overview | JobsError:
        try:
            return await self._look(queue, tenant)
        except JobsError as error:
            return error
