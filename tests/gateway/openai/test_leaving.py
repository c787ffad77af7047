"""Who leaves cancels; who stays is told how it ended."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import pytest

from jobs import Client, JobStatus
from jobs.connection import open_connection
from tests.gateway.openai.conftest import Service, gateway_on
from tests.waiting import until

IDLE = "idle"
ASKED: dict[str, Any] = {"model": "demo", "prompt": ["a", "b"], "max_tokens": 4}


@pytest.fixture(scope="module")
def idle(service: Service) -> Iterator[Service]:
    """A gateway on a queue that no worker serves."""
    with gateway_on(service.url, IDLE) as served:
        yield served


@pytest.fixture
def queued(idle: Service) -> Iterator[Client]:
    with Client(idle.url, idle.queue) as client:
        yield client


def queued_ids(idle: Service) -> list[str]:
    with open_connection(idle.url) as connection:
        raw: Any = connection.lrange(f"rq:queue:{idle.queue}", 0, -1)
    return [job_id.decode() for job_id in raw]


def send(idle: Service, body: dict[str, Any]) -> socket.socket:
    """A request whose answer nobody has read yet."""
    host, port = idle.http.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)))
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    opened.sendall(head.encode() + data)
    return opened


@pytest.mark.parametrize("is_streamed", [False, True])
def test_jobs_whose_caller_has_left_are_cancelled(
    idle: Service, queued: Client, is_streamed: bool
) -> None:
    with closing(send(idle, ASKED | {"stream": is_streamed})) as connection:
        until(lambda: queued.num_queued() == 2, what="the jobs to be queued")
        if is_streamed:
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        job_ids = queued_ids(idle)
    until(lambda: queued.num_queued() == 0, what="the jobs to be cancelled")
    until(
        lambda: {queued.status(job_id) for job_id in job_ids} == {JobStatus.CANCELLED},
        what="both to be cancelled",
    )


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_job_that_somebody_else_cancels_ends_the_answer_with_an_error(
    idle: Service, queued: Client, is_streamed: bool
) -> None:
    """And with it the request's other jobs."""
    with closing(send(idle, ASKED | {"stream": is_streamed})) as connection:
        until(lambda: queued.num_queued() == 2, what="the jobs to be queued")
        first, _ = queued_ids(idle)
        queued.cancel(first)
        until(lambda: queued.num_queued() == 0, what="the other job to be cancelled")
        answer = connection.recv(10_000).decode()
        while "job_cancelled" not in answer:
            more = connection.recv(10_000).decode()
            assert more, answer
            answer += more
    status = "200 OK" if is_streamed else "409 Conflict"
    assert answer.startswith(f"HTTP/1.1 {status}")


def test_an_error_in_mid_stream_is_openais_to_raise(service: Service) -> None:
    """What a worker alone can know is the caller's mistake all the same."""
    asked = ASKED | {"prompt": "a", "stream": True, "extra_body": {"stop_token_ids": [9999]}}
    with openai.OpenAI(base_url=f"{service.http}/v1", api_key="none", max_retries=0) as client:
        stream = client.completions.create(**asked)
        with pytest.raises(openai.APIError, match="9999") as caught:
            list(stream)
    assert caught.value.param == "stop_token_ids"
    assert caught.value.type == "invalid_request_error"


def test_a_deadline_that_passed_is_told(service: Service) -> None:
    asked = ASKED | {"extra_body": {"deadline_seconds": 1e-6}}
    with (
        openai.OpenAI(base_url=f"{service.http}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIStatusError, match="deadline") as caught,
    ):
        client.completions.create(**asked)
    assert (caught.value.status_code, caught.value.code) == (408, "deadline")


def test_openais_client_does_not_run_a_job_that_ended_again(service: Service, ours: Client) -> None:
    """As it would by itself: one that takes workers down would do so again and again."""

    def num_failed() -> int:
        return sum(queue.num_failed for queue in ours.overview().queues)

    asked = ASKED | {"prompt": "a", "extra_body": {"deadline_seconds": 1e-6}}
    before = num_failed()
    with (
        openai.OpenAI(base_url=f"{service.http}/v1", api_key="none", max_retries=2) as client,
        pytest.raises(openai.APIStatusError, match="deadline"),
    ):
        client.completions.create(**asked)
    assert num_failed() == before + 1


def test_no_server_is_told_with_the_time_to_wait() -> None:
    with (
        gateway_on("redis://127.0.0.1:1", IDLE) as served,
        openai.OpenAI(base_url=f"{served.http}/v1", api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            client.completions.create(**ASKED)
        assert (caught.value.status_code, caught.value.code) == (503, "no_server")
        assert caught.value.response.headers["retry-after"] == "5"
