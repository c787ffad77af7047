"""Waiting for results, against a real server and a thread that plays the worker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from rq.job import JobStatus as RqStatus
from rq.results import Result

from jobs import (
    Client,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobsError,
    ResultTimeoutError,
    SampledRows,
    WireError,
    waiting,
)
from tests.jobs.rq_worker import ROWS, fail, fetch, finish, start


@contextmanager
def _once_somebody_waits(connection: redis.Redis, act: Callable[[], object]) -> Iterator[None]:
    """Acts from another thread, when the server has a client that blocks."""

    def run() -> None:
        info: Any = connection.info("clients")
        while not info["blocked_clients"]:
            info = connection.info("clients")
        act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()


def _entries(connection: redis.Redis, job_id: str) -> int:
    length: Any = connection.xlen(f"rq:results:{job_id}")
    return int(length)


def test_rows_that_are_there_come_at_once(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    finish(connection, job_id)

    assert client.result(job_id, timeout=0) == ROWS
    assert client.result(job_id) == ROWS


def test_plain_rq_reads_the_rows(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    finish(connection, job_id)

    assert fetch(connection, job_id).return_value() == ROWS


def test_a_waiter_wakes_when_the_rows_are_stored(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    with _once_somebody_waits(connection, lambda: finish(connection, job_id)):
        assert client.result(job_id) == ROWS


def test_a_waiter_with_a_given_connection_wakes_too(connection: redis.Redis) -> None:
    client = Client(connection)
    job_id = client.submit(prompt_tokens=[1])
    with _once_somebody_waits(connection, lambda: finish(connection, job_id)):
        assert client.result(job_id, timeout=60) == ROWS


def test_cancelling_wakes_a_waiter(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    start(connection, job_id)
    with (
        _once_somebody_waits(connection, lambda: client.cancel(job_id)),
        pytest.raises(JobCancelledError),
    ):
        client.result(job_id)


def test_a_failure_wakes_a_waiter_and_tells_the_reason(
    client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    with (
        _once_somebody_waits(connection, lambda: fail(connection, job_id, "prompt is too long")),
        pytest.raises(JobFailedError, match="prompt is too long") as caught,
    ):
        client.result(job_id)
    assert caught.value.job_id == job_id


@pytest.mark.parametrize("kind", ["deleted", "cancelled"])
def test_a_job_that_ends_without_a_result_ends_the_wait(
    connection: redis.Redis, server: str, kind: str
) -> None:
    # RQ's own delete and cancel write no entry to the stream: the next look at the status tells.
    with Client(f"{server}?socket_timeout=0.5") as client:
        job_id = client.submit(prompt_tokens=[1])
        job = fetch(connection, job_id)
        act = job.delete if kind == "deleted" else job.cancel
        expected = JobNotFoundError if kind == "deleted" else JobCancelledError
        with _once_somebody_waits(connection, act), pytest.raises(expected):
            client.result(job_id)


def test_an_unknown_job_ends_the_wait_at_once(client: Client) -> None:
    with pytest.raises(JobNotFoundError):
        client.result("nobody")


def test_an_expired_result_ends_the_wait(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    finish(connection, job_id)
    connection.delete(f"rq:results:{job_id}")

    with pytest.raises(JobNotFoundError, match="expired"):
        client.result(job_id)


@pytest.mark.parametrize("timeout", [0, -1, 0.05])
def test_a_wait_ends_when_its_time_is_over(client: Client, timeout: float) -> None:
    job_id = client.submit(prompt_tokens=[1])
    with pytest.raises(ResultTimeoutError):
        client.result(job_id, timeout)


def test_a_retry_does_not_end_the_wait(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    Result.create(fetch(connection, job_id), Result.Type.RETRIED, 60)
    with pytest.raises(ResultTimeoutError):
        client.result(job_id, timeout=0.05)

    with _once_somebody_waits(connection, lambda: finish(connection, job_id)):
        assert client.result(job_id) == ROWS


def test_a_failed_job_that_was_requeued_is_waited_for(
    client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    fail(connection, job_id, "first attempt")
    fetch(connection, job_id).requeue()

    with _once_somebody_waits(connection, lambda: finish(connection, job_id)):
        assert client.result(job_id) == ROWS
    assert _entries(connection, job_id) == 2


@pytest.mark.parametrize("value", ["text", {"rows": []}])
def test_a_result_that_is_not_rows_is_a_wire_error(
    client: Client, connection: redis.Redis, value: object
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    finish(connection, job_id, value)
    with pytest.raises(WireError, match=job_id):
        client.result(job_id)


@pytest.mark.parametrize("entry", [{"return_value": "!"}, {"type": "1", "return_value": "gA=="}])
def test_a_broken_entry_is_a_wire_error(
    client: Client, connection: redis.Redis, entry: dict[Any, Any]
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    connection.xadd(f"rq:results:{job_id}", entry)
    with pytest.raises(WireError):
        client.result(job_id)


def test_results_come_in_order_of_completion(client: Client, connection: redis.Redis) -> None:
    first, second, third = client.submit_many([{"prompt_tokens": [1]}] * 3)
    finish(connection, second)
    results = client.results([first, second, third], timeout=60)

    assert next(results) == (second, ROWS)
    with _once_somebody_waits(connection, lambda: finish(connection, third)):
        assert next(results) == (third, ROWS)
    with _once_somebody_waits(connection, lambda: finish(connection, first)):
        assert next(results) == (first, ROWS)
    assert list(results) == []


def test_every_id_comes_out_once_with_rows_or_an_error(
    client: Client, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WATCHED", 3)
    job_ids = client.submit_many([{"prompt_tokens": [i]} for i in range(10)])
    for job_id in job_ids[2:]:
        finish(connection, job_id)
    client.cancel(job_ids[2])  # too late
    fail(connection, job_ids[1], "no")

    outcomes = list(client.results([*job_ids, "nobody", job_ids[5]], timeout=0.05))

    assert sorted(job_id for job_id, _ in outcomes) == sorted([*job_ids, "nobody"])
    kinds: dict[str, type[SampledRows | JobsError]] = {
        job_id: type(outcome) for job_id, outcome in outcomes
    }
    assert kinds.pop(job_ids[0]) is ResultTimeoutError
    assert kinds.pop(job_ids[1]) is JobFailedError
    assert kinds.pop("nobody") is JobNotFoundError
    assert set(kinds.values()) == {SampledRows}


def test_no_jobs_give_no_results(client: Client) -> None:
    assert list(client.results([])) == []


def test_a_stopped_job_counts_as_cancelled(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    fetch(connection, job_id).set_status(RqStatus.STOPPED)
    with pytest.raises(JobCancelledError):
        client.result(job_id)
