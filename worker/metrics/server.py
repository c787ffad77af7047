"""Serves /metrics, /healthz and /readyz by HTTP, on threads of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from worker.config import ConfigError
from worker.metrics.health import Health

_CLIENT_SECONDS = 10.0

log = logging.getLogger("rowmill.metrics")


@contextlib.contextmanager
def serving(
    host: str, port: int, registry: CollectorRegistry, health: Health
) -> Iterator[tuple[str, int]]:
    """Serve until the end of the block; yields where. Raises ConfigError where it can't listen."""
    app = _app(make_wsgi_app(registry), health)
    try:
        server = make_server(host, port, app, _server_class(host, port), _Handler)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"metrics_port: can't listen on {host}, port {port}: {error}") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    log.info("metrics and health at http://%s:%d", host, server.server_port)
    try:
        yield host, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS  # a client that sends nothing holds its thread no longer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: probes come every few seconds."""


def _server_class(host: str, port: int) -> type[WSGIServer]:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return type("_Server", (ThreadingWSGIServer,), {"address_family": family})


def _app(metrics: Callable[..., Any], health: Health) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                # Only the oldest form: in OpenMetrics' the library makes underscores of the names'
                # colons, for all that do not say that they take more.
                environ.pop("HTTP_ACCEPT", None)
                answer: Iterable[bytes] = metrics(environ, start_response)
                return answer
            case "/healthz":
                return _told(health.why_dead(), start_response)
            case "/readyz":
                return _told(health.why_not_ready(), start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /healthz and /readyz are here\n"]

    return app


def _told(reason: str | None, start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    status = "200 OK" if reason is None else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]
