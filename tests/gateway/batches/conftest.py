"""A real server, a real worker process, and gateways with folders of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from openai.types import Batch

from gateway import GatewayConfig, create_app
from gateway.batches.limits import BatchLimits
from jobs.connection import open_connection
from tests.waiting import until
from worker.embedded import embedded_server

MODEL = "demo"
QUEUE = "batches"
ENDED = ("completed", "failed", "cancelled", "expired")

Lines = list[dict[str, Any]]


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server whose queue a worker serves."""
    with embedded_server() as server_url:
        log = tmp_path_factory.mktemp("worker") / "log"
        command = [sys.executable, "-m", "worker.cli", "worker", "--model", MODEL]
        command += ["--threads", "1", "--redis", server_url, "--queue", QUEUE]
        with log.open("wb") as output:
            worker = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        with open_connection(server_url) as connection:

            def is_ready() -> bool:
                assert worker.poll() is None, log.read_text()
                return bool(connection.smembers(f"rq:workers:{QUEUE}"))

            until(is_ready, what="a worker to register")
        yield server_url
        worker.kill()
        worker.wait()


@contextlib.contextmanager
def listening(config: GatewayConfig) -> Iterator[openai.OpenAI]:
    """OpenAI's own client of a gateway that lives as long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started, what="the gateway to listen")
            yield client_of(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


def client_of(http: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{http}/v1", api_key=key, max_retries=0)


@dataclasses.dataclass(frozen=True)
class Gateways:
    """Starts gateways on one server."""

    url: str
    data: Path

    @contextlib.contextmanager
    def one(self, **changes: Any) -> Iterator[openai.OpenAI]:
        limits = {
            field.name: changes.pop(field.name)
            for field in dataclasses.fields(BatchLimits)
            if field.name in changes
        }
        config = GatewayConfig(
            redis_url=self.url,
            queue=changes.pop("queue", QUEUE),
            model=MODEL,
            model_name=MODEL,
            data=changes.pop("data", self.data),
            batches=BatchLimits(**limits),
            **changes,
        )
        with listening(config) as client, client:
            yield client


@pytest.fixture
def gateways(url: str, tmp_path: Path) -> Gateways:
    return Gateways(url, tmp_path / "data")


@pytest.fixture(scope="package")
def theirs(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """OpenAI's own client of a gateway that all tests share."""
    with Gateways(url, tmp_path_factory.mktemp("data")).one() as client:
        yield client


def line(number: int, endpoint: str = "/v1/completions", **body: Any) -> dict[str, Any]:
    """Of a completion unless its body says otherwise."""
    asked = {"model": MODEL, "max_tokens": 16, **body}
    if endpoint == "/v1/completions":
        asked.setdefault("prompt", f"What is {number} + {number}?")
    return {"custom_id": f"q{number}", "method": "POST", "url": endpoint, "body": asked}


def content_of(lines: Lines) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def upload(client: openai.OpenAI, content: bytes) -> str:
    return client.files.create(file=("in.jsonl", io.BytesIO(content)), purpose="batch").id


def create(
    client: openai.OpenAI, lines: Lines | bytes, endpoint: Any = "/v1/completions", **more: Any
) -> Batch:
    content = lines if isinstance(lines, bytes) else content_of(lines)
    return client.batches.create(
        input_file_id=upload(client, content),
        endpoint=endpoint,
        completion_window="24h",
        **more,
    )


def ended(client: openai.OpenAI, batch_id: str) -> Batch:
    until(lambda: client.batches.retrieve(batch_id).status in ENDED, what="the batch to end")
    return client.batches.retrieve(batch_id)


def in_progress(client: openai.OpenAI, batch_id: str, is_far: Callable[[Batch], bool]) -> None:
    """Returns while the batch is in progress, and as far as is wanted."""

    def is_there() -> bool:
        batch = client.batches.retrieve(batch_id)
        assert batch.status not in ENDED, batch
        return batch.status == "in_progress" and is_far(batch)

    until(is_there, what="the batch to be in progress")


def completed(least: int) -> Callable[[Batch], bool]:
    """Whether so many lines are done."""
    return lambda batch: (
        batch.request_counts is not None and (batch.request_counts.completed >= least)
    )


def read(client: openai.OpenAI, file_id: str | None) -> Lines:
    """The lines of a file; none of one that there is not."""
    if file_id is None:
        return []
    return [json.loads(text) for text in client.files.content(file_id).text.splitlines()]
