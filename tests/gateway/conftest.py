"""A real server, and a gateway on it that runs in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from fastapi.testclient import TestClient

from gateway import GatewayConfig, create_app
from jobs.connection import open_connection
from tests.integration.conftest import WorkerProcess
from worker.embedded import embedded_server

Gateway = Callable[..., TestClient]
SERVED = "served"


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server for all tests; each has a queue of its own on it."""
    with embedded_server() as server_url:
        yield server_url


@pytest.fixture(scope="session")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One of the demo model for all tests, on the queue `served`."""
    log = tmp_path_factory.mktemp("worker") / "log"
    process = WorkerProcess(url, SERVED, log, ["--max-rows", "8"])
    process.wait_until_ready()
    yield process
    process.process.kill()
    process.process.wait()


@pytest.fixture
def connection(url: str) -> Iterator[redis.Redis]:
    with open_connection(url) as opened:
        yield opened


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture
def gateway(url: str, queue: str) -> Iterator[Gateway]:
    """Starts gateways on the test's queue, with settings of GatewayConfig."""
    opened: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        config = GatewayConfig(**{"redis_url": url, "queue": queue, "model": "demo", **settings})
        client = TestClient(create_app(config))
        client.__enter__()
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)
