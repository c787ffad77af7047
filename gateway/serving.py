"""Serving: an application on an address, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.config import GatewayConfig, GatewayConfigError
from gateway.connection_limits import cut_off_after, raise_file_limit
from gateway.metrics_server import serving_metrics
from gateway.services import Services

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LAST_SECONDS = 5
"""For what was told to end."""

log = logging.getLogger("rowmill.gateway")


def serve(
    config: GatewayConfig, host: str, port: int, metrics: tuple[str, int] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; then open requests have `drain_seconds`, and a second signal
    ends them at once. `metrics`: where Prometheus may ask.

    Raises GatewayConfigError, TokenizerError and InvalidJobError before it listens, and
    GatewayConfigError where it can't.
    """
    check_address(host, config)
    raise_file_limit()
    app = create_app(config)
    registry = app.state.services.metrics.registry
    with contextlib.ExitStack() as stack:
        if metrics is not None:
            stack.enter_context(serving_metrics(*metrics, registry))
        make_server(app, host, port).run()


def make_server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """One that listens when it is run; port 0 is a free one."""
    services: Services = app.state.services
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level=logging.WARNING,  # when it listens and stops we say, and what it serves
        access_log=False,  # RequestLog has more
        server_header=False,
        timeout_graceful_shutdown=math.ceil(services.config.drain_seconds) + _LAST_SECONDS,
    )
    return _Server(settings, services)


def check_address(host: str, config: GatewayConfig) -> None:
    """Raises GatewayConfigError where a gateway without keys would be open to other machines."""
    if config.keys_file is None and not _is_loopback(host):
        raise GatewayConfigError(
            f"host: {host} is open to other machines, and no API key is asked for: name a keys "
            f"file, or listen on {LOOPBACK[0]}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        except SystemExit as error:  # how uvicorn says that there is no such address, or no room
            host, port = self.config.host, self.config.port
            raise GatewayConfigError(
                f"port: can't listen on {host}, port {port}: {error.__context__}"
            ) from error
        for server in getattr(self, "servers", ()):  # none where it did not start
            for listener in server.sockets:
                cut_off_after(listener.fileno(), self._services.config.stall_seconds)
        self._tell_where()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        seconds = self._services.config.drain_seconds
        log.info("stopping: open requests have %g s to end", seconds)
        self._services.shutdown.begin(seconds)
        await super().shutdown(sockets)

    def _tell_where(self) -> None:
        config = self._services.config
        addresses = [it.getsockname() for each in self.servers for it in each.sockets]
        log.info(
            "serves %s on queue %s of %s, running on %s",
            config.model_name,
            config.queue,
            self._services.server.address,
            ", ".join(sorted(_url(host, port) for host, port, *_ in addresses)),
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._services.shutdown.begin, 0)
            return
        super().handle_exit(sig, frame)
        # A stop that was asked for is no failure, so the signal is not raised again afterwards.
        if sig == signal.SIGTERM:
            self._captured_signals.clear()
