"""A webhook is one sender's at a time, and what a late one says of it does not count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import redis

from gateway.webhooks import WebhooksConfig
from gateway.webhooks.back_off import BackOff
from gateway.webhooks.host_line import HostLine
from gateway.webhooks.outbox import Outbox, Verdict
from jobs import Client, ServerUnavailableError
from tests.gateway.webhooks.conftest import due, end_job, given_up

Result = TypeVar("Result")
URL = "http://127.0.0.1:9/"
SENT = Verdict(kind="sent")


def with_outbox(url: str, queue: str, act: Callable[[Outbox], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        outbox = Outbox(WebhooksConfig(redis_url=url, queue=queue))
        try:
            return await act(outbox)
        finally:
            await outbox.close()

    return asyncio.run(run())


def test_senders_at_once_claim_each_webhook_once(url: str, queue: str, client: Client) -> None:
    job_ids = {end_job(client, URL) for _ in range(50)}

    async def claim(outbox: Outbox) -> list[str]:
        parts = await asyncio.gather(*(outbox.claim(9) for _ in range(8)))
        assert max(num_due for num_due, _ in parts) == 50
        return [claimed.job_id.decode() for _, part in parts for claimed in part]

    claimed = with_outbox(url, queue, claim)
    assert len(claimed) == 50 and {*claimed} == job_ids


def test_what_a_sender_says_of_a_webhook_that_is_another_s_by_now_does_not_count(
    url: str, queue: str, client: Client, connection: redis.Redis
) -> None:
    job_id = end_job(client, URL)

    async def late(outbox: Outbox) -> None:
        _, (old,) = await outbox.claim(1)
        connection.zadd(f"rowmill:webhooks:{queue}", {job_id: 1})  # its lease is over
        _, (new,) = await outbox.claim(1)
        assert (old.attempt, new.attempt) == (1, 2)
        before = due(connection, queue)
        for kind in ("sent", "later", "undone", "given_up"):
            assert await outbox.settle([(old, Verdict(kind=kind))]) == [False]  # type: ignore[arg-type]
        assert due(connection, queue) == before
        assert await outbox.settle([(new, SENT)]) == [True]
        assert await outbox.settle([(new, SENT)]) == [False]

    with_outbox(url, queue, late)
    assert due(connection, queue) == {} and not connection.exists(f"rowmill:webhook:{job_id}")


def test_the_end_of_a_job_that_is_pushed_again_is_not_lost_to_the_sender_of_the_first(
    url: str, queue: str, client: Client, connection: redis.Redis
) -> None:
    end_job(client, URL, job_id="mine")

    async def again(outbox: Outbox) -> None:
        _, (first,) = await outbox.claim(1)
        assert client.delete(["mine"]) == 1
        end_job(client, URL, job_id="mine")
        assert await outbox.settle([(first, SENT)]) == [False]
        _, (second,) = await outbox.claim(1)
        assert second.attempt == 1
        assert second.fields[-1] != first.fields[-1], "its webhook has an ID of its own"

    with_outbox(url, queue, again)
    assert [*due(connection, queue)] == ["mine"]


def test_those_given_up_are_kept_for_a_while_and_at_most_a_thousand(
    url: str, queue: str, client: Client, connection: redis.Redis
) -> None:
    job_id = end_job(client, URL)
    dead = f"rowmill:dead-webhooks:{queue}"
    connection.zadd(dead, {f"old-{n}": n for n in range(1000)})

    async def give_up(outbox: Outbox) -> None:
        _, (claimed,) = await outbox.claim(1)
        await outbox.settle([(claimed, Verdict(kind="given_up", reason="a reason"))])

    with_outbox(url, queue, give_up)
    assert connection.zcard(dead) == 1000 and connection.zscore(dead, "old-0") is None
    assert given_up(connection, queue)[job_id] == "a reason"
    assert connection.ttl(dead) > 0 and connection.ttl(f"rowmill:webhook:{job_id}") > 0


def test_a_server_that_is_not_there_is_named_at_the_start() -> None:
    with pytest.raises(ServerUnavailableError, match="none"):
        with_outbox("unix:///tmp/none", "q", lambda outbox: outbox.check())


def test_waits_grow_to_about_a_day_in_all_and_differ() -> None:
    back_off = BackOff(5, 6 * 3600, random.Random(0))
    waits = [back_off.seconds(attempt) for attempt in range(1, 12)]
    assert 3.75 <= waits[0] <= 6.25 and max(waits) <= 1.25 * 6 * 3600
    assert 18 * 3600 < sum(waits) < 28 * 3600
    assert len({back_off.seconds(1) for _ in range(9)}) == 9
    assert back_off.seconds(10**9) > 0
    assert back_off.seconds(1, 100) == 100 and back_off.seconds(1, 1e12) == 6 * 3600


def test_those_that_find_a_line_full_are_put_off_one_after_the_other() -> None:
    async def put_off() -> list[float]:
        line = HostLine(2)
        for _ in range(4):
            line.enter()
        assert line.is_full
        return [line.put_off(longest=0.1) for _ in range(100)]

    waits = asyncio.run(put_off())
    assert waits == sorted(waits) and waits[0] > 0 and waits[-1] == 0.1
