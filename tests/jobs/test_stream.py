"""Reading rows while a worker, which these tests play, samples them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from jobs import (
    Client,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    ResultTimeoutError,
    Row,
    RowDelta,
    SampledRows,
    StreamDivergedError,
    WireError,
)
from jobs.wire import dump_chunk
from tests.jobs.rq_worker import fail, fetch, finish, start
from tests.waiting import until

RESULT = SampledRows(
    rows=(
        Row(tokens=(1, 2, 3), masks=(1, 0, 1), finish_reason="stop"),
        Row(tokens=(4, 5), masks=(1, 1), finish_reason="length"),
    )
)
JOB: dict[str, Any] = {"prompt_tokens": [1], "num_samples": 2, "first_row": 7, "stream": True}


def piece(number: int, start: int, end: int, *, is_last: bool = False) -> RowDelta:
    row = RESULT.rows[number]
    return RowDelta(
        row=7 + number,
        start=start,
        tokens=row.tokens[start:end],
        masks=row.masks[start:end],
        finish_reason=row.finish_reason if is_last else None,
    )


WHOLE = [piece(0, 0, 3, is_last=True), piece(1, 0, 2, is_last=True)]


def tell(connection: redis.Redis, job_id: str, *deltas: RowDelta) -> None:
    connection.xadd(f"rowmill:stream:{job_id}", {"chunk": dump_chunk(deltas)}, maxlen=1000)


@pytest.fixture
def job_id(client: Client, connection: redis.Redis) -> str:
    job_id = client.submit(**JOB)
    start(connection, job_id)
    return job_id


@contextmanager
def once_somebody_waits(connection: redis.Redis, *acts: Callable[[], object]) -> Iterator[None]:
    """Acts from another thread, each time that the server has a client that blocks."""

    def run() -> None:
        for act in acts:
            until(lambda: blocked(connection), what="a reader")
            act()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def blocked(connection: redis.Redis) -> int:
    info: Any = connection.info("clients")
    return int(info["blocked_clients"])


def texts(deltas: Iterable[RowDelta]) -> list[tuple[int, tuple[int, ...]]]:
    return [(delta.row, delta.tokens) for delta in deltas]


def test_tokens_come_as_they_are_told_and_the_rest_with_the_result(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    reader = client.stream(job_id, timeout=60)
    with once_somebody_waits(connection, lambda: tell(connection, job_id, piece(0, 0, 2))):
        assert next(reader) == piece(0, 0, 2)
    with once_somebody_waits(connection, lambda: tell(connection, job_id, piece(1, 0, 1))):
        assert next(reader) == piece(1, 0, 1)
    with once_somebody_waits(connection, lambda: finish(connection, job_id, RESULT)):
        assert list(reader) == [piece(0, 2, 3, is_last=True), piece(1, 1, 2, is_last=True)]


def test_a_stream_is_over_when_every_row_has_ended(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    tell(connection, job_id, *WHOLE)
    assert list(client.stream(job_id, timeout=60)) == WHOLE


def test_a_job_that_has_ended_is_told_by_its_result(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    tell(connection, job_id, piece(0, 0, 1))
    finish(connection, job_id, RESULT)
    assert list(client.stream(job_id)) == WHOLE
    assert list(client.stream(job_id, timeout=0)) == WHOLE


def test_a_job_that_asked_for_no_stream_is_told_at_its_end(
    client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(**{**JOB, "stream": False})
    with once_somebody_waits(connection, lambda: finish(connection, job_id, RESULT)):
        assert list(client.stream(job_id, timeout=60)) == WHOLE


def test_a_second_attempt_goes_on_where_the_reader_is(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    def begin_again() -> None:
        tell(connection, job_id, piece(0, 0, 1), piece(1, 0, 2, is_last=True))
        tell(connection, job_id, piece(0, 1, 3, is_last=True))

    tell(connection, job_id, piece(0, 0, 2), piece(1, 0, 1))
    with once_somebody_waits(connection, begin_again):
        told = list(client.stream(job_id, timeout=60))
    assert texts(told) == [(7, (1, 2)), (8, (4,)), (8, (5,)), (7, (3,))]


def test_what_was_cut_off_comes_with_the_result(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    tell(connection, job_id, piece(0, 1, 3, is_last=True), piece(1, 0, 1))
    with once_somebody_waits(connection, lambda: finish(connection, job_id, RESULT)):
        told = list(client.stream(job_id, timeout=60))
    assert texts(told) == [(8, (4,)), (7, (1, 2, 3)), (8, (5,))]


def test_a_reader_that_comes_late_reads_many_chunks(
    client: Client, connection: redis.Redis
) -> None:
    tokens = tuple(range(300))
    job_id = client.submit(prompt_tokens=[1], stream=True)
    for at in tokens:
        tell(connection, job_id, RowDelta(row=0, start=at, tokens=(at,), masks=(1,)))
    tell(connection, job_id, RowDelta(row=0, start=300, finish_reason="length"))
    told = list(client.stream(job_id, timeout=60))
    assert [token for delta in told for token in delta.tokens] == list(tokens)
    assert [delta.finish_reason for delta in told] == [None] * 300 + ["length"]


def test_other_tokens_than_were_told_end_the_stream(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    other = RowDelta(row=7, start=0, tokens=(1, 9), masks=(1, 1))
    tell(connection, job_id, other)
    finished = lambda: finish(connection, job_id, RESULT)  # noqa: E731
    reader = client.stream(job_id, timeout=60)
    assert next(reader) == other
    with (
        once_somebody_waits(connection, finished),
        pytest.raises(StreamDivergedError, match=r"row 7.*position 1"),
    ):
        next(reader)


def test_a_job_that_fails_or_is_cancelled_ends_its_stream(
    client: Client, connection: redis.Redis
) -> None:
    ends: list[tuple[Callable[[str], object], type[Exception]]] = [
        (lambda job_id: fail(connection, job_id, "no"), JobFailedError),
        (lambda job_id: fetch(connection, job_id).delete(), JobNotFoundError),
        (client.cancel, JobCancelledError),
    ]
    for end, error in ends:
        job_id = client.submit(**JOB)
        tell(connection, job_id, piece(0, 0, 1))
        reader = client.stream(job_id)
        assert next(reader) == piece(0, 0, 1)
        end(job_id)
        tell(connection, job_id, piece(0, 0, 1))  # wakes who waits for a deleted job
        with pytest.raises(error):
            list(reader)
        with pytest.raises(error):
            list(client.stream(job_id))


def test_a_stream_ends_when_its_time_is_over(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    tell(connection, job_id, piece(0, 0, 1))
    for timeout in (0, 0.05):
        reader = client.stream(job_id, timeout)
        assert next(reader) == piece(0, 0, 1)
        with pytest.raises(ResultTimeoutError):
            next(reader)


def test_an_unknown_job_has_no_stream(client: Client) -> None:
    with pytest.raises(JobNotFoundError):
        next(iter(client.stream("nobody")))


def test_what_is_no_chunk_is_passed_over(
    client: Client, connection: redis.Redis, job_id: str
) -> None:
    garbage: list[dict[Any, Any]] = [{"chunk": "x"}, {"other": "x"}, {"chunk": b"\x80\x04"}]
    for fields in garbage:
        connection.xadd(f"rowmill:stream:{job_id}", fields)
    tell(connection, job_id, RowDelta(row=99, start=0, tokens=(1,), masks=(1,)), *WHOLE)
    assert list(client.stream(job_id, timeout=60)) == WHOLE


def test_a_job_that_is_not_ours_has_no_stream(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(**JOB)
    connection.hset(f"rq:job:{job_id}", "data", b"x")
    with pytest.raises(WireError, match=job_id):
        next(iter(client.stream(job_id)))
