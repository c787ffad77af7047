"""RequestMeter: counts and times each request, by its route."""

from __future__ import annotations

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics

_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_NO_ROUTE = "none"
_LEFT = 499
"""Where the caller left before an answer began."""


class RequestMeter:
    """Paths that are no route's, and methods that nobody knows, count together: callers choose
    these, and could fill the memory with them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._metrics)
        self._metrics.open_requests.inc()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            self._metrics.open_requests.dec()
            answer.end()


class _Answer:
    """An answer on its way."""

    def __init__(self, scope: Scope, send: Send, metrics: Metrics) -> None:
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._began = time.monotonic()
        self._status = _LEFT
        self._is_stream = False
        self._has_event = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self._is_stream = kind.startswith("text/event-stream")
            if self._is_stream:
                self._metrics.open_streams.inc()
        elif self._is_stream and not self._has_event:
            self._note_event(message.get("body", b""))
        await self._send(message)

    def _note_event(self, body: bytes) -> None:
        if body and not body.startswith(b":"):  # a comment only says that we are still here
            self._has_event = True
            seconds = time.monotonic() - self._began
            self._metrics.first_token_seconds.labels(self._route).observe(seconds)

    def end(self) -> None:
        if self._is_stream:
            self._metrics.open_streams.dec()
        method, route = self._method, self._route
        self._metrics.requests.labels(method, route, str(self._status)).inc()
        seconds = time.monotonic() - self._began
        self._metrics.seconds.labels(method, route).observe(seconds)

    @property
    def _method(self) -> str:
        method = self._scope["method"]
        return method if method in _METHODS else "other"

    @property
    def _route(self) -> str:
        """As it was declared, such as /v1/jobs/{job_id}; known once a route has matched."""
        return getattr(self._scope.get("route"), "path", _NO_ROUTE)
