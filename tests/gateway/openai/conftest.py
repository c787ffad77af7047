"""A real server, a real worker process, and a gateway that listens on loopback."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import uvicorn

from gateway import GatewayConfig, create_app
from jobs import Client
from jobs.connection import open_connection
from tests.waiting import until
from worker.embedded import embedded_server

MODEL = "demo"
QUEUE = "openai"


@dataclasses.dataclass(frozen=True)
class Service:
    """`url`: of the queue's server; `http`: of the gateway."""

    url: str
    http: str
    queue: str = QUEUE


def listening(config: GatewayConfig) -> Iterator[str]:
    """A gateway on a free port, until the iterator goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, what="the gateway to listen")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with embedded_server() as url:
        log = tmp_path_factory.mktemp("worker") / "log"
        worker = start_worker(url, log)
        config = GatewayConfig(redis_url=url, queue=QUEUE, model=MODEL, model_name=MODEL)
        for http in listening(config):
            yield Service(url, http)
        worker.kill()
        worker.wait()


def start_worker(url: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "worker.cli", "worker", "--model", MODEL]
    command += ["--threads", "1", "--redis", url, "--queue", QUEUE]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    with open_connection(url) as connection:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            return bool(connection.smembers(f"rq:workers:{QUEUE}"))

        until(is_ready, what="a worker to register")
    return process


@pytest.fixture
def theirs(service: Service) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{service.http}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def ours(service: Service) -> Iterator[Client]:
    with Client(service.url, service.queue) as client:
        yield client
