"""AllowedHosts: by which names a gateway may be called."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import ApiError


class AllowedHosts:
    """Refuses requests to other names with 403.

    A page of another site can give a name of its own the address of this machine. Its requests come
    from here then, and only the name tells whose they are.
    """

    def __init__(self, app: ASGIApp, *, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = tuple(dict.fromkeys(names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _name(Headers(scope=scope).get("Host", "")) in self._names:
            await self._app(scope, receive, send)
            return
        names = ", ".join(self._names)
        error = ApiError(403, f"this gateway answers to {names} only", code="host_not_allowed")
        await error.response()(scope, receive, send)


def _name(host: str) -> str | None:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
