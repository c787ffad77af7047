"""Glances: what overviews told a moment ago."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.fresh import Fresh
from jobs import JobsError, Overview

_FRESH_SECONDS = 1.0

Look = Callable[[str, str | None], Awaitable[Overview]]


class Glances:
    """Asks the server once in a second for each caller's view, however many pages are open."""

    def __init__(self, look: Look) -> None:
        """`look` reads the overview of a queue, or of a tenant's share of it."""
        self._look = look
        self._known = Fresh(self._read, _FRESH_SECONDS)

    async def overview(self, queue: str, tenant: str | None) -> Overview:
        """Raises JobsError, also one that another caller has met a moment ago."""
        outcome = await self._known.of((queue, tenant))
        if isinstance(outcome, JobsError):
            raise outcome.with_traceback(None)
        return outcome

    async def _read(self, whose: tuple[str, str | None]) -> Overview | JobsError:
        try:
            return await self._look(*whose)
        except JobsError as error:
            return error
