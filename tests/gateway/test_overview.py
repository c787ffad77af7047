"""/overview tells each caller of its own, and is read once however many pages are open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from gateway.access.new_key import add_key
from gateway.glances import Glances
from jobs import Client, Overview, ServerUnavailableError
from tests.access_rules import make_users, url_as
from tests.gateway.conftest import SERVED, Gateway
from tests.integration.conftest import WorkerProcess
from tests.jobs.rq_worker import fail, start
from worker.embedded import embedded_server


def _header(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_caller_sees_its_own_jobs_and_no_others(
    gateway: Gateway, connection: redis.Redis, queue: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    key = add_key(path, "acme")
    with Client(connection, queue) as client:
        mine, theirs = (client.submit(prompt_tokens=[1], tenant=its) for its in ("acme", "b"))
        client.submit(prompt_tokens=[1], tenant="acme")
    for job_id in (mine, theirs):
        start(connection, job_id)
        fail(connection, job_id, f"it was {job_id}")
    served = gateway(keys_file=path)
    assert served.get("/overview").status_code == 401
    answer = served.get("/overview", headers=_header(key))
    (its,) = answer.json()["queues"]
    assert (its["tenant"], its["num_waiting"], its["num_failed"]) == ("acme", 1, 1)
    (failure,) = answer.json()["failures"]
    assert (failure["job_id"], failure["reason"]) == (mine, f"it was {mine}")
    assert theirs not in answer.text and '"b"' not in answer.text


def test_a_gateway_without_keys_shows_the_whole_queue(
    gateway: Gateway, connection: redis.Redis, queue: str
) -> None:
    with Client(connection, queue) as client:
        client.submit(prompt_tokens=[1], tenant="b")
    told = gateway().get("/overview").json()
    assert [(its["tenant"], its["num_waiting"]) for its in told["queues"]] == [(None, 0), ("b", 1)]
    assert told["workers"] == told["failures"] == []


def test_of_a_worker_its_load_is_told_and_not_where_it_runs(
    gateway: Gateway, worker: WorkerProcess
) -> None:
    answer = gateway(queue=SERVED).get("/overview")
    (its,) = answer.json()["workers"]
    assert (its["max_rows"], its["is_silent"], its["reproducible"]) == (8, False, True)
    assert not {"host", "pid", "queues", "num_finished", "num_failed"} & set(its)
    assert str(worker.process.pid) not in answer.text


def test_a_login_that_may_not_see_workers_is_told(gateway: Gateway) -> None:
    with embedded_server() as url, redis.Redis.from_url(url) as admin:
        make_users(admin)
        answer = gateway(redis_url=url_as("producer", url), queue="rowmill").get("/overview")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_overview"
    assert "producer" not in answer.text


def test_many_pages_cost_one_read_and_callers_share_none() -> None:
    empty = Overview(now=0.0, queues=(), workers=(), failures=())
    looks: list[tuple[str, str | None]] = []

    async def look(queue: str, tenant: str | None) -> Overview:
        looks.append((queue, tenant))
        await asyncio.sleep(0)
        return empty

    async def ask() -> None:
        glances = Glances(look)
        await asyncio.gather(*(glances.overview("q", f"t{n % 2}") for n in range(20)))

    asyncio.run(ask())
    assert sorted(looks) == [("q", "t0"), ("q", "t1")]


def test_a_server_that_is_gone_is_asked_once_too() -> None:
    looks: list[str] = []

    async def look(queue: str, tenant: str | None) -> Overview:
        looks.append(uuid4().hex)
        raise ServerUnavailableError("a server", "gone")

    async def ask() -> None:
        glances = Glances(look)
        for _ in range(3):
            with pytest.raises(ServerUnavailableError, match="gone"):
                await glances.overview("q", None)

    asyncio.run(ask())
    assert len(looks) == 1
