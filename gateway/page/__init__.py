"""The web page: static files, which carry no secret and need no key."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response

_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}
_FILES = {
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/gateway.js": "gateway.js",
    "/glance.js": "glance.js",
    "/playground.js": "playground.js",
    "/rows.js": "rows.js",
}
_HEADERS = {
    # Nothing but what comes from here; and no page of others may show this one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def _add(router: APIRouter, path: str, name: str) -> None:
    media_type = f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    content = files("gateway.page").joinpath(name).read_bytes()

    @router.get(path)
    async def page_file() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)


def page_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path, name in _FILES.items():
        _add(router, path, name)
    return router
