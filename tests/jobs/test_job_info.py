"""What the server knows of a job, whoever pushed it, and where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from rq import Queue

from jobs import (
    Client,
    GenerateJob,
    InvalidJobError,
    JobNotFoundError,
    JobStatus,
    MsgpackSerializer,
    WireError,
)
from tests.jobs.rq_worker import finish, start

FIELDS: dict[str, Any] = {
    "prompt_tokens": [1, 2],
    "num_samples": 4,
    "first_row": 2,
    "stop": ["a"],
    "tenant": "acme",
    "priority": 3,
    "reply_to": "mine",
    "stream": True,
    "webhook_url": "https://example.com/hook",
}


def test_a_job_reads_back_as_it_was_pushed_from_any_queue(
    client: Client, server: str, make_client: Callable[..., Client]
) -> None:
    job = GenerateJob(**FIELDS)
    with make_client(server, "elsewhere") as other:
        job_id = other.submit(job)
    assert client.job(job_id) == job


def test_a_job_of_plain_rq_reads_back(client: Client, connection: redis.Redis) -> None:
    queue = Queue("rowmill", connection=connection, serializer=MsgpackSerializer)
    job_id = queue.enqueue("jobs.generate", prompt_tokens=[1, 2], seed=3).id
    assert client.job(job_id) == GenerateJob(prompt_tokens=(1, 2), seed=3)


@pytest.mark.parametrize("data", [b"", b"x", MsgpackSerializer.dumps(["os.system", None, [], {}])])
def test_what_is_no_job_of_ours_is_a_wire_error(
    client: Client, connection: redis.Redis, data: bytes
) -> None:
    job_id = client.submit(**FIELDS)
    connection.hset(f"rq:job:{job_id}", "data", data)
    with pytest.raises(WireError, match=job_id):
        client.job(job_id)


def test_a_job_larger_than_the_limit_is_not_read(
    server: str, client: Client, make_client: Callable[..., Client]
) -> None:
    job_id = client.submit(prompt_tokens=[1] * 100_000)
    with (
        make_client(server, max_payload_bytes=1000) as bounded,
        pytest.raises(WireError, match="1000 bytes"),
    ):
        bounded.job(job_id)


def test_the_info_tells_whose_a_job_is_and_follows_it(
    client: Client, server: str, connection: redis.Redis, make_client: Callable[..., Client]
) -> None:
    before = datetime.now(UTC)
    with make_client(server, "elsewhere") as other:
        job_id = other.submit(**FIELDS)

    info = client.info(job_id)
    assert (info.job_id, info.status) == (job_id, JobStatus.QUEUED)
    assert (info.queue, info.tenant) == ("elsewhere", "acme")
    assert info.created_at is not None
    assert before <= info.created_at <= before + timedelta(minutes=5)
    assert (info.started_at, info.ended_at, info.worker, info.attempts) == (None, None, None, 0)

    start(connection, job_id)
    connection.hset(f"rq:job:{job_id}", "attempts", 2)
    info = client.info(job_id)
    assert (info.status, info.worker, info.attempts) == (JobStatus.RUNNING, "w", 2)
    assert info.started_at is not None and info.started_at >= info.created_at

    finish(connection, job_id)
    connection.hset(f"rq:job:{job_id}", "ended_at", "2026-01-02T03:04:05.678900Z")
    info = client.info(job_id)
    assert (info.status, info.attempts) == (JobStatus.FINISHED, None)
    assert info.ended_at == datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def test_a_job_of_nobody_has_no_tenant(client: Client) -> None:
    info = client.info(client.submit(prompt_tokens=[1]))
    assert (info.queue, info.tenant) == ("rowmill", None)


def test_a_hash_that_somebody_else_wrote_tells_what_it_can(
    client: Client, connection: redis.Redis
) -> None:
    fields: dict[Any, Any] = {
        **{"status": "started", "origin": b"\xff@", "created_at": "yesterday"},
        **{"started_at": b"\xff", "attempts": "-3", "worker_name": b"\xfe"},
    }
    connection.hset("rq:job:a", mapping=fields)
    info = client.info("a")
    assert (info.status, info.tenant, info.attempts) == (JobStatus.RUNNING, None, 0)
    assert (info.created_at, info.started_at, info.ended_at) == (None, None, None)


def test_a_job_that_is_not_there_is_not_found(client: Client) -> None:
    for ask in (client.job, client.info):
        with pytest.raises(JobNotFoundError):
            ask("nobody")
        with pytest.raises(InvalidJobError, match="job_id"):
            ask("a b")
