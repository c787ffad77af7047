"""A real worker process, and a gateway that listens on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from gateway import GatewayConfig, create_app
from jobs import Client
from jobs.connection import open_connection
from tests.gateway.live import listening
from tests.waiting import until

MODEL = "demo"
QUEUE = "openai"


@dataclasses.dataclass(frozen=True)
class Service:
    """`url`: of the queue's server; `http`: of the gateway."""

    url: str
    http: str
    queue: str


@pytest.fixture(scope="package")
def service(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("worker") / "log"
    worker = start_worker(url, log)
    with gateway_on(url, QUEUE) as served:
        yield served
    worker.kill()
    worker.wait()


@contextlib.contextmanager
def gateway_on(url: str, queue: str) -> Iterator[Service]:
    config = GatewayConfig(redis_url=url, queue=queue, model=MODEL, model_name=MODEL)
    with listening(create_app(config)) as gateway:
        yield Service(url, gateway.url, queue)


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
