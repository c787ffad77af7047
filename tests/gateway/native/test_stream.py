"""/v1/jobs/{id}/stream: each token once, and an end that says what it is, whatever happens."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import redis
from fastapi.testclient import TestClient

from gateway import GatewayConfig, create_app
from tests.gateway.live import Listening, listening
from tests.gateway.native.test_jobs import pushed
from tests.waiting import until
from vocab import load_tokenizer

Event = tuple[str | None, Any]


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """The events in lines of server-sent events, each with its name; comments are (None, text)."""
    name = None
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
        elif field == "":
            name = None
            if value:
                yield None, value


def read(api: TestClient, job_id: str) -> list[Event]:
    with api.stream("GET", f"/v1/jobs/{job_id}/stream") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events_of(response.iter_lines()))


@pytest.mark.parametrize("stop", [[], ["1"], [" "]])
def test_what_a_stream_tells_in_pieces_is_what_the_job_has(
    api: TestClient, stop: list[str]
) -> None:
    fields = {"num_samples": 3, "max_tokens": 40, "temperature": 2.0, "logprobs": True}
    (job_id,) = pushed(api, {"prompt": "2 + 3 = ", "stream": True, "stop": stop, **fields})
    *deltas, done = read(api, job_id)
    rows = api.get(f"/v1/jobs/{job_id}?wait=30").json()["rows"]

    assert done == ("done", {"id": job_id, "status": "finished"})
    for index, row in enumerate(rows):
        own = [delta for name, delta in deltas if name == "delta" and delta["row"] == index]
        for field in ("tokens", "masks", "logprobs"):
            assert [its for delta in own for its in delta[field]] == row[field]
        starts = [sum(len(its["tokens"]) for its in own[:n]) for n in range(len(own))]
        assert [delta["start"] for delta in own] == starts
        assert "".join(delta["text"] for delta in own) == row["text"]
        assert [delta.get("finish_reason") for delta in own][-1] == row["finish_reason"]
        assert all("finish_reason" not in delta for delta in own[:-1])
    assert read(api, job_id)[-1] == done, "it can be read again"


def test_a_character_is_never_broken(api: TestClient) -> None:
    # Tokens of the demo model are bytes, so all but chance makes of these is broken UTF-8.
    fields = {"temperature": 100.0, "max_tokens": 60, "num_samples": 2, "ignore_eos": True}
    (job_id,) = pushed(api, {"prompt": "é", "stream": True, **fields})
    deltas = [delta for name, delta in read(api, job_id) if name == "delta"]
    tokenizer = load_tokenizer("demo")
    for index in (0, 1):
        own = [delta for delta in deltas if delta["row"] == index]
        tokens = [token for delta in own for token in delta["tokens"]]
        assert "".join(delta["text"] for delta in own) == tokenizer.decode(tokens)


def test_a_job_that_fails_ends_its_stream_with_the_reason(api: TestClient) -> None:
    (job_id,) = pushed(api, {"prompt_tokens": [1], "regex": "("})
    ((name, data),) = read(api, job_id)
    assert name == "error" and data["error"]["code"] == "job_refused"
    assert "regex" in data["error"]["message"]


@pytest.fixture
def waiting(url: str, queue: str) -> Iterator[Listening]:
    """A gateway without workers, so that nothing ever comes of a job."""
    config = GatewayConfig(
        redis_url=url, queue=queue, model="demo", heartbeat_seconds=0.05, drain_seconds=0.3
    )
    with listening(create_app(config)) as gateway:
        yield gateway


def num_blocked(connection: redis.Redis) -> int:
    """How many wait for something of the server."""
    clients: Any = connection.info("clients")
    return int(clients["blocked_clients"])


def push_to(gateway: Listening) -> str:
    response = httpx2.post(f"{gateway.url}/v1/jobs", json={"prompt_tokens": [1]})
    job_id: str = response.json()["ids"][0]
    return job_id


def test_a_stream_without_news_says_that_it_is_there_and_ends_when_its_job_does(
    waiting: Listening,
) -> None:
    job_id = push_to(waiting)
    with httpx2.stream("GET", f"{waiting.url}/v1/jobs/{job_id}/stream") as response:
        events = events_of(response.iter_lines())
        assert [next(events) for _ in range(3)] == [(None, "still here")] * 3
        httpx2.delete(f"{waiting.url}/v1/jobs/{job_id}")
        name, data = [event for event in events if event[0]][-1]
    assert name == "error" and data["error"]["code"] == "job_cancelled"


def test_a_caller_that_leaves_is_waited_for_no_longer(
    waiting: Listening, connection: redis.Redis
) -> None:
    job_id = push_to(waiting)

    before = num_blocked(connection)
    for path in ("/stream", "?wait=50"):
        with socket.create_connection(("127.0.0.1", waiting.port)) as caller:
            caller.sendall(f"GET /v1/jobs/{job_id}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(lambda: num_blocked(connection) > before, what="the gateway to wait")
        until(lambda: num_blocked(connection) == before, what="the gateway to give up", seconds=3)


def test_a_gateway_that_stops_ends_what_is_open_with_an_error(
    waiting: Listening, connection: redis.Redis
) -> None:
    job_id = push_to(waiting)
    answers: list[httpx2.Response] = []
    url = f"{waiting.url}/v1/jobs/{job_id}"
    polling = threading.Thread(target=lambda: answers.append(httpx2.get(f"{url}?wait=50")))
    with httpx2.stream("GET", f"{url}/stream") as response:
        events = events_of(response.iter_lines())
        assert next(events) == (None, "still here")
        before = num_blocked(connection)
        polling.start()
        until(lambda: num_blocked(connection) > before, what="the poll to wait")
        waiting.stop()
        name, data = list(events)[-1]
    assert name == "error" and data["error"]["code"] == "shutting_down"
    polling.join()
    assert answers[0].status_code == 503 and answers[0].headers["retry-after"]
    assert answers[0].json()["error"]["code"] == "shutting_down"
