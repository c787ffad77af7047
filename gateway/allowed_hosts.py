"""AllowedHosts: by which names a gateway may be called, and by which sites' pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import ApiError


class AllowedHosts:
    """Refuses requests to other names, and those of other sites' pages, with 403.

    A page of another site can give a name of its own the address of this machine. Its requests come
    from here then, and only the name tells whose they are. And to the right name browsers let any
    page send a form, such as an upload, although it may not read the answer.
    """

    def __init__(
        self, app: ASGIApp, *, names: tuple[str, ...], origins: tuple[str, ...] = ()
    ) -> None:
        """`origins`: of sites whose pages may call; * is any."""
        self._app = app
        self._names = tuple(dict.fromkeys(names))
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        await (self._app if error is None else error.response())(scope, receive, send)

    def _refusal(self, headers: Headers) -> ApiError | None:
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if _name(host) not in self._names:
            text = f"this gateway answers to {', '.join(self._names)} only"
            return ApiError(403, text, code="host_not_allowed")
        is_own = origin is None or origin.partition("://")[2] == host
        if is_own or not self._origins.isdisjoint((origin, "*")):
            return None
        text = "this gateway takes no requests of other sites' pages (--allow-origins)"
        return ApiError(403, text, code="origin_not_allowed")


def _name(host: str) -> str | None:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
