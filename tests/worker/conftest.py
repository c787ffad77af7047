"""A real server for the worker's parts, and ledgers on it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from jobs import Client, MsgpackSerializer, Row, SampledRows
from jobs.connection import open_connection
from worker.caretaker import Caretaker
from worker.claim import Claim, Outcome
from worker.embedded import embedded_server
from worker.follow_ups import FollowUps
from worker.ledger import Ledger

MakeLedger = Callable[..., Ledger]
MakeCaretaker = Callable[[str], Caretaker]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with embedded_server() as server_url:
        yield server_url


@pytest.fixture
def connection(url: str) -> Iterator[redis.Redis]:
    """A connection to that server, emptied."""
    with open_connection(url) as opened:
        opened.flushall()
        yield opened


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture
def client(url: str, connection: redis.Redis, queue: str) -> Iterator[Client]:
    with Client(url, queue) as opened:
        yield opened


def new_ledger(connection: redis.Redis, worker: str, *queues: str) -> Ledger:
    return Ledger(
        connection,
        queues,
        worker,
        FollowUps(connection),
        lease=60,
        worker_ttl=60,
        result_ttl=60,
        failure_ttl=60,
        max_attempts=3,
        max_payload_bytes=100_000,
    )


@pytest.fixture
def make_ledger(connection: redis.Redis, queue: str) -> MakeLedger:
    """The ledger of a worker by its name, on the test's queue unless others are named."""
    return lambda worker, *queues: new_ledger(connection, worker, *(queues or (queue,)))


@pytest.fixture
def make_caretaker(connection: redis.Redis, queue: str) -> MakeCaretaker:
    """The caretaker of a worker by its name."""

    def make(worker: str) -> Caretaker:
        return Caretaker(
            connection,
            (queue,),
            worker,
            FollowUps(connection),
            interval=1,
            failure_ttl=60,
            max_attempts=3,
        )

    return make


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it, as pytest's own may not be."""
    path = Path(tempfile.mkdtemp(prefix="rowmill-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def finished(claim: Claim, *tokens: int) -> Outcome:
    """One row of these tokens."""
    row = Row(tokens=tokens, masks=(1,) * len(tokens), finish_reason="stop")
    value = MsgpackSerializer.dumps(SampledRows(rows=(row,)))
    return Outcome(claim=claim, status="finished", value=value)


def queued_ids(connection: redis.Redis, queue: str) -> list[str]:
    raw: Any = connection.lrange(f"rq:queue:{queue}", 0, -1)
    return [job_id.decode() for job_id in raw]


def at_once(*actions: Callable[[], None]) -> None:
    """Run each on a thread of its own, starting together."""
    barrier, errors = threading.Barrier(len(actions)), list[BaseException]()

    def run(action: Callable[[], None]) -> None:
        barrier.wait()
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
