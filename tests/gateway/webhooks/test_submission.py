"""Jobs that come through the gateway bring their webhooks, but none that could go nowhere."""

from __future__ import annotations

import asyncio

import pytest
import redis

from gateway import GatewayConfig
from gateway.caller import Caller
from gateway.services import Services
from gateway.submission import submit
from jobs import GenerateJob, InvalidJobError


def push(url: str, queue: str, job: GenerateJob, *, allows_private: bool) -> list[str]:
    config = GatewayConfig(redis_url=url, queue=queue, allows_private_webhooks=allows_private)

    async def run() -> list[str]:
        services = Services(config)
        try:
            return await submit(services, Caller(queue=queue), [job])
        finally:
            await services.close()

    return asyncio.run(run())


def test_a_private_webhook_is_refused_unless_it_is_allowed(
    url: str, queue: str, connection: redis.Redis
) -> None:
    job = GenerateJob(prompt_tokens=[1], webhook_url="http://127.0.0.1/hook")
    with pytest.raises(InvalidJobError, match="webhook_url"):
        push(url, queue, job, allows_private=False)
    assert connection.llen(f"rq:queue:{queue}") == 0

    (job_id,) = push(url, queue, job, allows_private=True)
    assert connection.hget(f"rq:job:{job_id}", "webhook_url") == b"http://127.0.0.1/hook"
