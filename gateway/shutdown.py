"""Shutdown: when what is still open has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.errors import ApiError

_Answer = TypeVar("_Answer")


class Shutdown:
    """Requests that wait for jobs, and streams, go on for some seconds after it began."""

    def __init__(self) -> None:
        self._is_over = asyncio.Event()

    def begin(self, seconds: float) -> None:
        """Called in the event loop."""
        asyncio.get_running_loop().call_later(seconds, self._is_over.set)

    async def wait(self) -> None:
        """Until the time is over in which open requests may go on."""
        await self._is_over.wait()

    async def bounded(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Does the work; raises ApiError (503) where the time is over before it is done."""
        doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise shutting_down()
            return doing.result()
        finally:
            ending.cancel()
            doing.cancel()


def shutting_down() -> ApiError:
    text = "the gateway is shutting down: ask again"
    return ApiError(503, text, kind="server_error", code="shutting_down", retry_after=1)
