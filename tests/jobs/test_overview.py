"""An overview says what the server knows, and costs the same however many jobs there are."""

from __future__ import annotations

import asyncio
import base64
import time
import zlib
from typing import Any

import pytest
import redis

from jobs import AsyncClient, Client, InvalidJobError
from jobs.overview_reading import MOST_FAILURES, MOST_QUEUES, MOST_WORKERS
from tests.jobs.rq_worker import fail, start


def _only(client: Client) -> Any:
    (queue,) = client.overview().queues
    return queue


def test_a_queue_that_has_nothing_is_shown_with_nothing(client: Client) -> None:
    told = client.overview()
    assert (_only(client).queue, _only(client).num_waiting) == ("rowmill", 0)
    assert _only(client).oldest_seconds is None
    assert (told.workers, told.failures) == ((), ())
    assert client.overview(everywhere=True).queues == ()


def test_jobs_are_counted_by_where_they_stand(client: Client, connection: redis.Redis) -> None:
    ids = client.submit_many([{"prompt_tokens": [1]}] * 5 + [{"prompt_tokens": [1], "tenant": "a"}])
    start(connection, ids[0])
    connection.zadd("rq:finished:rowmill", {"before": time.time() + 60})
    start(connection, ids[2])
    fail(connection, ids[2], "it broke\nat line 3")
    client.cancel(ids[3])

    own, tenant = client.overview().queues
    assert (own.queue, own.tenant, tenant.tenant) == ("rowmill", None, "a")
    counts = (own.num_waiting, own.num_running, own.num_finished, own.num_failed)
    assert (*counts, own.num_cancelled) == (2, 2, 1, 1, 1)
    assert tenant.num_waiting == 1
    assert own.oldest_seconds is not None and own.oldest_seconds >= 0
    totals = client.overview().totals
    assert (totals.num_waiting, totals.num_running, totals.num_failed) == (3, 2, 1)
    (failure,) = client.overview().failures
    assert (failure.job_id, failure.queue, failure.reason) == (ids[2], "rowmill", "it broke")


def test_an_overview_of_a_queue_leaves_others_out(client: Client, connection: redis.Redis) -> None:
    with Client(connection, "rowmill2") as other:
        other.submit(prompt_tokens=[1], tenant="a")
    connection.sadd("rq:queues", "rq:queue:default", "rq:queue:rowmill@", "rq:queue:\xff @a", "x y")
    assert [queue.queue for queue in client.overview().queues] == ["rowmill"]
    shown = [(it.queue, it.tenant) for it in client.overview(everywhere=True).queues]
    assert shown == [("default", None), ("rowmill2", "a")]


def test_an_overview_of_a_tenant_tells_of_no_other(client: Client, connection: redis.Redis) -> None:
    others = client.submit_many([{"prompt_tokens": [1], "tenant": "b"}] * 12)
    (own,) = client.submit_many([{"prompt_tokens": [1], "tenant": "a"}])
    for job_id in (own, *others):
        start(connection, job_id)
        fail(connection, job_id, f"it was {job_id}")
    told = client.overview(tenant="a")
    ((queue, tenant, failed),) = [(its.queue, its.tenant, its.num_failed) for its in told.queues]
    assert (queue, tenant, failed) == ("rowmill", "a", 1)
    assert [failure.job_id for failure in told.failures] == [own]
    assert not any(job_id in repr(told) for job_id in others)
    nobody = client.overview(tenant="c")
    assert ([its.num_waiting for its in nobody.queues], nobody.failures) == ([0], ())
    with pytest.raises(InvalidJobError, match="everywhere"):
        client.overview(everywhere=True, tenant="a")
    with pytest.raises(InvalidJobError, match="tenant"):
        client.overview(tenant="a@b")


def test_what_strangers_put_under_the_keys_harms_no_overview(
    client: Client, connection: redis.Redis
) -> None:
    good = client.submit(prompt_tokens=[1])
    connection.lpush("rq:queue:rowmill", b"\xff\x00", "x" * 1000, "list")
    connection.lpush("rq:job:list", 1)
    for kind in ("wip", "finished"):
        connection.set(f"rq:{kind}:rowmill", "no set")
    connection.zadd("rq:failed:rowmill", {"huge": 3, "list": 2, b"\xff": 1})
    connection.hset("rq:job:huge", mapping={"status": "failed", "ended_at": "x" * 10**6})
    bomb = base64.b64encode(zlib.compress(b"x" * 10**7))
    connection.xadd("rq:results:huge", {"type": 2, "exc_string": bomb})
    connection.sadd("rq:workers:rowmill", "rq:worker:w1", "rq:worker:gone", "rq:worker:\xff")
    record = {"running_rows": "many", "tokens_per_second": "nan", "queues": ",,", "beat_at": "-1"}
    connection.hset("rq:worker:w1", mapping=record)

    told = client.overview()
    assert (told.queues[0].num_waiting, told.queues[0].num_running) == (4, 0)
    (failure,) = told.failures
    assert (failure.job_id, failure.at, len(failure.reason)) == ("huge", None, 500)
    (worker,) = told.workers
    assert (worker.name, worker.running_rows, worker.heartbeat_seconds) == ("w1", None, None)
    assert not worker.is_silent
    client.cancel(good)


def test_nothing_that_strangers_wrote_moves_a_terminal_that_shows_it(
    client: Client, connection: redis.Redis
) -> None:
    written = "a\x1b]52;c;eA==\x07\x9b2J\r\x00 b\tc\nd"
    reason = base64.b64encode(zlib.compress(written.encode()))
    connection.hset("rq:job:spoiled", mapping={"status": "failed", "origin": "rowmill"})
    connection.zadd("rq:failed:rowmill", {"spoiled": 1})
    connection.xadd("rq:results:spoiled", {"type": 2, "exc_string": reason})
    connection.sadd("rq:workers:rowmill", "rq:worker:w1")
    connection.hset("rq:worker:w1", mapping={"hostname": written, "state": written})

    told = client.overview()
    shown = "a\ufffd]52;c;eA==\ufffd\ufffd2J\ufffd\ufffd b\tc"
    assert told.failures[0].reason == shown
    assert told.workers[0].host == told.workers[0].state == f"{shown}\nd"
    assert client.life("spoiled").error == f"{shown}\nd"


def test_a_worker_is_silent_once_its_lease_has_ended(
    client: Client, connection: redis.Redis
) -> None:
    connection.sadd("rq:workers:rowmill", "rq:worker:w1", "rq:worker:w2")
    now = time.time()
    connection.hset("rq:worker:w1", mapping={"beat_at": now - 3600, "lease": 15})
    connection.hset("rq:worker:w2", mapping={"beat_at": now, "lease": 15})
    assert [worker.is_silent for worker in client.overview().workers] == [True, False]
    assert client.overview().totals.num_workers == 1, "who is silent runs nothing more"


def test_what_is_asked_does_not_grow_with_the_jobs(client: Client, connection: redis.Redis) -> None:
    def num_commands() -> int:
        connection.config_resetstat()
        client.overview()
        stats: Any = connection.info("commandstats")
        assert not {"cmdstat_scan", "cmdstat_keys", "cmdstat_smembers"} - {
            "cmdstat_smembers"
        } & set(stats)
        return sum(its["calls"] for its in stats.values())

    client.submit_many([{"prompt_tokens": [1]}] * 10)
    few = num_commands()
    client.submit_many([{"prompt_tokens": [1]}] * 500)
    assert num_commands() == few


def test_a_crowd_of_tenants_workers_and_failures_is_cut_and_said_so(
    client: Client, connection: redis.Redis
) -> None:
    with connection.pipeline() as pipe:
        for index in range(MOST_QUEUES + 50):
            pipe.sadd("rq:queues", f"rq:queue:rowmill@t{index:04}")
        for index in range(MOST_WORKERS + 7):
            pipe.sadd("rq:workers:rowmill", f"rq:worker:w{index:04}")
            pipe.hset(f"rq:worker:w{index:04}", "state", "idle")
        for index in range(3 * MOST_FAILURES):
            ended = f"2026-01-01T00:00:{index:02}.000000Z"
            pipe.hset(f"rq:job:j{index}", mapping={"status": "failed", "ended_at": ended})
            pipe.zadd("rq:failed:rowmill@t0140", {f"j{index}": index})
        pipe.execute()
    client.submit(prompt_tokens=[1], tenant="t0140")

    told = client.overview()
    assert (len(told.queues), told.num_queues_left_out) == (MOST_QUEUES, 51)
    assert {"t0140"} == {queue.tenant for queue in told.queues if queue.num_waiting}
    assert (len(told.workers), told.num_workers_left_out) == (MOST_WORKERS, 7)
    newest = [f"j{index}" for index in reversed(range(2 * MOST_FAILURES, 3 * MOST_FAILURES))]
    assert [failure.job_id for failure in told.failures] == newest


def test_both_clients_see_the_same(client: Client, server: str) -> None:
    job_id = client.submit(prompt_tokens=[1, 2], num_samples=3)

    async def look() -> None:
        async with AsyncClient(server) as other:
            theirs, ours = await other.overview(), client.overview()
            assert theirs.queues[0].num_waiting == ours.queues[0].num_waiting == 1
            life = await other.life(job_id)
            assert (life.events, life.prompt_tokens) == (client.life(job_id).events, 2)

    asyncio.run(look())
