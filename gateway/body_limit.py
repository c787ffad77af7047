"""BodyLimit: how large the body of a request may be, and how slow."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ApiError

TOO_LARGE = "body_too_large"


class BodyLimit:
    """Refuses a larger one with 413: before a byte of it is read where its length is told, and
    otherwise as soon as it is beyond the limit. One that stops coming gets 408."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_bytes_at: dict[str, int], seconds: float
    ) -> None:
        """`max_bytes_at`: other limits, of paths. `seconds`: longest wait for the next piece."""
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_at = max_bytes_at
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._max_bytes_at.get(scope["path"], self._max_bytes)
        length = Headers(scope=scope).get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > limit:
            await _too_large(limit).response()(scope, receive, send)
            return
        await self._app(scope, _Body(receive, limit, self._seconds).receive, send)


class _Body:
    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._num_bytes = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """Raises HTTPException: the framework lets no other pass where it reads a body."""
        if self._is_whole:  # what comes now is that the caller leaves
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._seconds)
        except TimeoutError:
            text = f"no more of the body came for {self._seconds:g} seconds"
            raise HTTPException(408, text, {"Connection": "close"}) from None
        self._is_whole = not message.get("more_body", False)
        self._num_bytes += len(message.get("body", b""))
        if self._num_bytes > self._max_bytes:
            error = _too_large(self._max_bytes)
            raise HTTPException(error.status, error.message, error.headers)
        return message


def _too_large(limit: int) -> ApiError:
    text = f"the body is larger than {limit} bytes, the most that is taken here"
    # Who still sends it is not listened to.
    return ApiError(413, text, code=TOO_LARGE, headers={"Connection": "close"})
