"""Submission: whose jobs they are, and that a refusal leaves nothing in the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from gateway.caller import Caller
from gateway.config import GatewayConfig
from gateway.errors import ApiError
from gateway.services import Services
from gateway.submission import submit
from jobs import Client, GenerateJob, InvalidJobError, ModelCard
from worker.rq_worker import RqWorker

JOB = GenerateJob(prompt_tokens=[1, 2, 3], max_tokens=5, num_samples=2)


def submitted(url: str, caller: Caller, *jobs: GenerateJob, **settings: Any) -> list[str]:
    async def run() -> list[str]:
        services = Services(GatewayConfig(redis_url=url, **settings))
        try:
            return await submit(services, caller, jobs)
        finally:
            await services.close()

    return asyncio.run(run())


def test_jobs_are_the_caller_s_whatever_they_say(
    url: str, connection: redis.Redis, queue: str
) -> None:
    caller = Caller(tenant="acme", queue=queue, priority=7)
    foreign = GenerateJob(prompt_tokens=[1], tenant="another", priority=100)
    first, second = submitted(url, caller, JOB, foreign)
    assert connection.lrange(f"rq:queue:{queue}@acme", 0, -1) == [first.encode(), second.encode()]
    for job_id in (first, second):
        assert connection.hget(f"rq:job:{job_id}", "priority") == b"7"


def test_what_no_worker_can_run_is_not_queued_and_not_charged(
    url: str, connection: redis.Redis, queue: str
) -> None:
    worker = RqWorker(connection, [queue], ModelCard(context_length=7))
    worker.register_birth()  # type: ignore[no-untyped-call]
    worker.publish({}, ttl=60)
    caller = Caller(tenant=queue, queue=queue, rows_per_minute=100)
    with pytest.raises(InvalidJobError, match="at most 4 after"):
        submitted(url, caller, JOB.model_copy(update={"max_tokens": 4}), JOB)
    assert not connection.exists(f"rq:queue:{queue}@{queue}", f"rowmill:quota:{queue}")


def test_the_charge_is_all_that_the_rows_may_come_to(
    url: str, connection: redis.Redis, queue: str
) -> None:
    caller = Caller(tenant=queue, queue=queue, rows_per_minute=100, tokens_per_minute=100)
    submitted(url, caller, JOB, JOB)
    key = f"rowmill:quota:{queue}"
    assert float(connection.hget(key, "rows") or 0) == 100 - 2 * 2
    assert float(connection.hget(key, "tokens") or 0) == 100 - 2 * (3 + 5 * 2)
    with pytest.raises(ApiError, match="used up"):
        submitted(url, caller, *[JOB] * 6)
    assert connection.llen(f"rq:queue:{queue}@{queue}") == 2


def test_a_charge_that_nobody_can_reckon_is_asked_for(url: str, queue: str) -> None:
    caller = Caller(tenant=queue, queue=queue, tokens_per_minute=100)
    with pytest.raises(InvalidJobError, match="max_tokens: leaving it out"):
        submitted(url, caller, GenerateJob(prompt_tokens=[1]))


def test_a_full_queue_is_told(url: str, queue: str) -> None:
    with Client(url, queue) as client:
        client.submit_many([JOB] * 2)
    with pytest.raises(ApiError, match="max_queued") as caught:
        submitted(url, Caller(queue=queue), JOB, max_queued=2)
    assert caught.value.status == 429 and caught.value.retry_after
    with pytest.raises(ApiError, match="more than may wait at all, 2") as caught:
        submitted(url, Caller(queue=queue), JOB, JOB, JOB, max_queued=2)
    assert caught.value.status == 400
