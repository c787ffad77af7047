"""BodyLimit: how large the body of a request may be."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ApiError

TOO_LARGE = "body_too_large"


class BodyLimit:
    """Refuses a larger one with 413: before a byte of it is read where its length is told, and
    otherwise as soon as it is beyond the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_bytes_at: dict[str, int]) -> None:
        """`max_bytes_at`: other limits, of paths."""
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_at = max_bytes_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._max_bytes_at.get(scope["path"], self._max_bytes)
        length = Headers(scope=scope).get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > limit:
            await _too_large(limit).response()(scope, receive, send)
            return
        num_bytes = 0

        async def receive_some() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > limit:
                # The framework lets no other exception pass where it reads a body.
                error = _too_large(limit)
                raise HTTPException(error.status, error.message, error.headers)
            return message

        await self._app(scope, receive_some, send)


def _too_large(limit: int) -> ApiError:
    text = f"the body is larger than {limit} bytes, the most that is taken here"
    # Who still sends it is not listened to.
    return ApiError(413, text, code=TOO_LARGE, headers={"Connection": "close"})
