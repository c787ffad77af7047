"""Serves metrics on a port of their own, which a gateway's callers need not reach."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from gateway.config import GatewayConfigError

_CLIENT_SECONDS = 10.0

log = logging.getLogger("rowmill.metrics")


@contextlib.contextmanager
def serving_metrics(host: str, port: int, registry: CollectorRegistry) -> Iterator[str]:
    """Until the end of the block; yields where. Raises GatewayConfigError where it can't listen."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        kind: type[WSGIServer] = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        server = make_server(host, port, _app(make_wsgi_app(registry)), kind, _Handler)
    except (OSError, OverflowError, UnicodeError) as error:
        raise GatewayConfigError(
            f"metrics_port: can't listen on {host}, port {port}: {error}"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    url = f"http://{host}:{server.server_port}/metrics"
    log.info("metrics at %s", url)
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS  # a client that sends nothing holds its thread no longer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: Prometheus comes every few seconds."""


def _app(metrics: Callable[..., Any]) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics is here\n"]
        # Only the oldest form: in OpenMetrics' the library makes underscores of the names' colons,
        # for all that do not say that they take more.
        environ.pop("HTTP_ACCEPT", None)
        answer: Iterable[bytes] = metrics(environ, start_response)
        return answer

    return app
