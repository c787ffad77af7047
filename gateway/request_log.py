"""RequestLog: an ID and a line for each request, and an answer where the gateway itself fails."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import unexpected_error

HEADER = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_LEFT = 499
"""What the log says where the caller left before an answer began."""
_QUIET = {"/healthz", "/readyz", "/metrics", "/overview"}
"""Asked every few seconds, by machines and open pages."""

log = logging.getLogger("rowmill.gateway")


class RequestLog:
    """Takes the ID that a caller or a proxy gave, if it is a plain one, or makes one.

    The ID is in the answer, in every line of the log about this request, and in
    `request.state.request_id`. Neither query nor headers are logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status, started = 0, time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or _LEFT
        except Exception:
            log.exception("a request failed", extra={"request_id": request_id})
            if not status:
                await unexpected_error(request_id).response()(scope, receive, send_with_id)
        finally:
            _log(scope, status or _LEFT, time.monotonic() - started)


def _log(scope: Scope, status: int, seconds: float) -> None:
    # As it came, escaped: a path may hold a line's end.
    path = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    state = scope["state"]
    facts = {"request_id": state["request_id"], "tenant": state.get("tenant")}
    log.log(
        logging.DEBUG if scope["path"] in _QUIET else logging.INFO,
        "%s %s %d in %.0f ms",
        scope["method"],
        path.decode("ascii", "backslashreplace"),
        status,
        1000 * seconds,
        extra=facts,
    )
