"""A gateway that listens on loopback, in front of a real worker's queue."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import openai
import pytest

from gateway import GatewayConfig, create_app
from jobs import Client
from tests.gateway.conftest import SERVED
from tests.gateway.live import listening
from tests.integration.conftest import WorkerProcess

MODEL = "demo"


@dataclasses.dataclass(frozen=True)
class Service:
    """`url`: of the queue's server; `http`: of the gateway."""

    url: str
    http: str
    queue: str


@pytest.fixture(scope="package")
def service(url: str, worker: WorkerProcess) -> Iterator[Service]:
    with gateway_on(url, SERVED) as served:
        yield served


@contextlib.contextmanager
def gateway_on(url: str, queue: str) -> Iterator[Service]:
    config = GatewayConfig(redis_url=url, queue=queue, model=MODEL, model_name=MODEL)
    with listening(create_app(config)) as gateway:
        yield Service(url, gateway.url, queue)


@pytest.fixture
def theirs(service: Service) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{service.http}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def ours(service: Service) -> Iterator[Client]:
    with Client(service.url, service.queue) as client:
        yield client
