"""Work that goes on only as long as somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from gateway.shutdown import Shutdown

_Answer = TypeVar("_Answer")


async def attended(
    request: Request, shutdown: Shutdown, work: Coroutine[Any, Any, _Answer]
) -> _Answer:
    """Does the work for a request whose body was read.

    Cancels it and raises ClientDisconnect where the caller leaves, and ApiError (503) where the
    gateway has to stop.
    """
    doing = asyncio.ensure_future(shutdown.bounded(work))
    leaving = asyncio.ensure_future(leaves(request.receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        leaving.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)


async def leaves(receive: Receive) -> None:
    """Returns when the caller has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
