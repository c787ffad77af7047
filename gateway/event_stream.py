"""EventStream: server-sent events, which end well whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.attended import leaves
from gateway.errors import ApiError, api_error, unexpected_error
from gateway.shutdown import Shutdown, shutting_down
from jobs import JobsError

_STILL_HERE = b": still here\n\n"

log = logging.getLogger("rowmill.gateway")


def event(data: Any, name: str | None = None) -> bytes:
    """One event, whose data is JSON."""
    head = "" if name is None else f"event: {name}\n"
    text = json.dumps(data, separators=(",", ":"))
    return f"{head}data: {text}\n\n".encode()


def error_event(error: ApiError) -> bytes:
    return event(error.body(), "error")


class EventStream(Response):
    """Sends what `events` yields, as bytes of whole events.

    An error of theirs is the last event, as is the end of the gateway's patience at its shutdown.
    Where there is no news, a comment goes out every `heartbeat_seconds`. `events` are closed, and
    what they wait for is cancelled, as soon as the caller leaves.
    """

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(
        self, events: AsyncGenerator[bytes, None], shutdown: Shutdown, heartbeat_seconds: float
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._shutdown = shutdown
        self._heartbeat_seconds = heartbeat_seconds
        self._last_sent = 0.0
        # Proxies are to pass on each event as it comes.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._last_sent = time.monotonic()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        request_id = scope.get("state", {}).get("request_id", "")
        pump = asyncio.create_task(self._pump(send, request_id))
        beats = asyncio.create_task(self._beat(send))
        left = asyncio.create_task(leaves(receive))
        tasks = (pump, beats, left)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._events.aclose()
        if isinstance(outcomes[2], asyncio.CancelledError):
            if isinstance(outcomes[0], asyncio.CancelledError):
                await self._send(send, error_event(shutting_down()))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send, request_id: str) -> None:
        try:
            async for chunk in self._events:
                await self._send(send, chunk)
        except ApiError as error:
            await self._send(send, error_event(error))
        except JobsError as error:
            await self._send(send, error_event(api_error(error)))
        except Exception:
            log.exception("a stream failed", extra={"request_id": request_id})
            await self._send(send, error_event(unexpected_error(request_id)))

    async def _beat(self, send: Send) -> None:
        """Returns when the shutdown's time is over."""
        while True:
            seconds = self._last_sent + self._heartbeat_seconds - time.monotonic()
            if seconds <= 0:
                await self._send(send, _STILL_HERE)
                continue
            try:
                await asyncio.wait_for(self._shutdown.wait(), seconds)
                return
            except TimeoutError:
                continue

    async def _send(self, send: Send, chunk: bytes) -> None:
        self._last_sent = time.monotonic()
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
