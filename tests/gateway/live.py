"""A gateway that listens, in a thread of the test's process: for what no test client does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from fastapi import FastAPI

from gateway.serving import make_server
from tests.waiting import until


class Listening:
    def __init__(self, app: FastAPI) -> None:
        self._server = make_server(app, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started, what="the gateway to listen")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """As a signal would; returns at once."""
        self._server.should_exit = True

    def join(self) -> None:
        self.stop()
        self._thread.join()


@contextlib.contextmanager
def listening(app: FastAPI) -> Iterator[Listening]:
    gateway = Listening(app)
    try:
        yield gateway
    finally:
        gateway.join()
