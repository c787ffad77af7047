"""The access rules of docs/security.md: enough for all that each user does, and for no more."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient
from rq import Queue
from rq.command import send_stop_job_command
from rq.job import Job
from rq.suspension import resume, suspend

from gateway import GatewayConfig, create_app
from gateway.access.new_key import add_key
from jobs import (
    FUNCTION_NAME,
    Client,
    GenerateJob,
    JobStatus,
    MsgpackSerializer,
    PermissionDeniedError,
    SampledRows,
)
from jobs.connection import open_connection
from tests.access_rules import make_users, url_as
from tests.gateway.webhooks.conftest import SenderProcess, due, given_up
from tests.gateway.webhooks.receiver import receiver
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import long_jobs, mixed_jobs, question
from tests.waiting import until
from worker.embedded import embedded_server

QUEUE = "rowmill"
"""The queue of the documented rules."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The URL of a server with the documented users; without a login nobody gets in."""
    with embedded_server() as url:
        with redis.Redis.from_url(url) as connection:
            make_users(connection)
        yield url


@pytest.fixture
def admin(guarded: str) -> Iterator[redis.Redis]:
    """May do everything; the server's data and its log of denials are empty."""
    with open_connection(url_as("default", guarded)) as connection:
        connection.flushall()
        connection.acl_log_reset()
        yield connection


@pytest.fixture
def operator(guarded: str) -> Iterator[redis.Redis]:
    with open_connection(url_as("operator", guarded)) as connection:
        yield connection


@pytest.fixture
def producer(guarded: str) -> Iterator[Client]:
    with Client(url_as("producer", guarded), QUEUE) as client:
        yield client


@pytest.fixture
def start(guarded: str, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start_one(*arguments: str) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        worker = WorkerProcess(url_as("worker", guarded), QUEUE, log, ["--lease", "2", *arguments])
        started.append(worker)
        return worker

    yield start_one
    for worker in started:
        worker.process.kill()
        worker.process.wait()


def denials(admin: redis.Redis) -> list[Any]:
    return [
        (entry["username"], entry["reason"], entry["object"], entry["context"])
        for entry in admin.acl_log()
    ]


def test_with_their_rules_producer_worker_and_operator_do_all_that_they_do(
    admin: redis.Redis,
    operator: redis.Redis,
    producer: Client,
    start: Callable[..., WorkerProcess],
    expected: Callable[[GenerateJob], SampledRows],
) -> None:
    jobs = mixed_jobs(4)
    job_ids = producer.submit_many(jobs)
    given_up = producer.submit(question(webhook_url="https://example.com"))
    assert producer.cancel(given_up)

    worker = start("--max-rows", "48", "--metrics-port", "0")
    worker.wait_until_ready()
    for job, job_id in zip(jobs, job_ids, strict=True):
        assert producer.result(job_id, timeout=60).rows == expected(job).rows
    provenance = expected(jobs[0]).provenance
    assert provenance is not None
    assert [*producer.worker_models().values()] == [provenance.model]
    streamed = producer.submit(question(stream=True))
    assert [*producer.stream(streamed, timeout=60)][-1].finish_reason
    assert admin.exists(f"rowmill:stream:{streamed}")
    bad = producer.submit(prompt_tokens=[10**6])
    until(lambda: producer.status(bad) is JobStatus.FAILED, what="a bad job to fail")

    stopped, cancelled, lasting = producer.submit_many(long_jobs(3))
    until(lambda: producer.status(lasting) is JobStatus.RUNNING, what="the jobs to run")
    send_stop_job_command(operator, stopped, MsgpackSerializer)
    assert producer.cancel(cancelled)
    until(lambda: producer.status(stopped) is JobStatus.CANCELLED, what="the stop")

    suspend(operator)
    worker.process.kill()
    second = start()
    second.wait_until_ready()
    until(lambda: producer.status(lasting) is JobStatus.QUEUED, what="recovery")
    resume(operator)
    assert producer.result(lasting, timeout=60).rows == expected(long_jobs(3)[2]).rows

    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(60) == 0, second.log
    assert denials(admin) == []
    assert "ermission" not in worker.log + second.log


def test_with_their_rules_plain_rq_s_jobs_run_and_what_hangs_on_them_too(
    guarded: str,
    admin: redis.Redis,
    start: Callable[..., WorkerProcess],
    expected: Callable[[GenerateJob], SampledRows],
) -> None:
    job = question(seed=3)
    with open_connection(url_as("producer", guarded)) as connection:
        queue = Queue(QUEUE, connection=connection, serializer=MsgpackSerializer)
        first = queue.enqueue(FUNCTION_NAME, kwargs=job.fields())
        second = queue.enqueue(FUNCTION_NAME, kwargs=job.fields(), depends_on=first)
        worker = start()
        until(lambda: second.get_status() == "finished", what="the dependent")
        assert first.return_value().rows == expected(job).rows
        assert Job.fetch(second.id, connection, MsgpackSerializer).is_finished
    worker.process.terminate()
    assert worker.process.wait(60) == 0, worker.log
    assert denials(admin) == []


def test_with_its_rules_a_sender_of_webhooks_sends_and_gives_up(
    guarded: str, admin: redis.Redis, producer: Client, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'default = ["whsec_{"A" * 32}"]')
    secrets.chmod(0o600)
    with receiver() as service:
        service.answers["/gone"] = [410]
        jobs = [question(webhook_url=service.url(path)) for path in ("/", "/gone")]
        sent, refused = producer.submit_many(jobs)
        assert producer.cancel(sent) and producer.cancel(refused)
        arguments = (secrets, tmp_path / "log", ["--allow-private"])
        sender = SenderProcess(url_as("webhooks", guarded), QUEUE, *arguments)
        try:
            service.wait_for(sent)
            until(lambda: refused in given_up(admin, QUEUE), what="the other to be given up")
            until(lambda: not due(admin, QUEUE), what="the marks to go")
        finally:
            sender.process.terminate()
            assert sender.process.wait(60) == 0, sender.log
    assert denials(admin) == []


def test_with_its_rules_a_gateway_does_all_that_its_callers_ask_for(
    guarded: str, admin: redis.Redis, start: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    key = add_key(keys, "acme", rows_per_minute=100, tokens_per_minute=10_000, priority=4)
    start().wait_until_ready()
    config = GatewayConfig(
        redis_url=url_as("gateway", guarded), queue=QUEUE, keys_file=keys, max_queued=100
    )
    with TestClient(create_app(config), headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/readyz").json() == {"status": "ok", "workers": 1}
        assert len(client.get("/overview").json()["workers"]) == 1
        body = {"prompt_tokens": [1], "max_tokens": 4, "stream": True}
        again = {"Idempotency-Key": "once"}
        answers = [client.post("/v1/jobs", json=body, headers=again) for _ in range(2)]
        (job_id,) = answers[0].json()["ids"]
        assert answers[1].json()["ids"] == [job_id]
        assert client.get(f"/v1/jobs/{job_id}?wait=30").json()["status"] == "finished"
        assert "event: done" in client.get(f"/v1/jobs/{job_id}/stream").text
        assert client.delete(f"/v1/jobs/{job_id}").json()["deleted"] is True
        (long_id,) = client.post("/v1/jobs", json={**body, "num_samples": 99}).json()["ids"]
        client.delete(f"/v1/jobs/{long_id}")
        assert client.post("/v1/jobs", json=body).status_code == 429
    assert denials(admin) == []


FOR_ALL = [
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET dir /",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "EVAL return(1) 0",
    "SCRIPT FLUSH",
    "FUNCTION LOAD x",
    "ACL LIST",
    "MONITOR",
    "SHUTDOWN",
    "SAVE",
    "REPLICAOF NO ONE",
    "MODULE LIST",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SWAPDB 0 1",
    "DUMP rq:job:a",
    "MIGRATE h 1 rq:job:a 0 1",
    "SORT rq:queue:rowmill",
    "GET secret",
    "DEL secret",
    "COPY rq:job:a secret",
    "RENAME rq:job:a secret",
    "LPOP rq:queue:other",
    "RPUSH rq:queue:other a",
    "RPUSH rq:queue:rowmill2 a",
    "LMOVE rq:queue:rowmill secret LEFT LEFT",
    "SET rq:suspended 1",
    "PUBLISH news a",
    "PSUBSCRIBE *",
]
FOR_PRODUCERS = [
    "HGETALL rq:worker:a",
    "HSET rq:worker:a x y",
    "SMEMBERS rq:workers",
    "SMEMBERS rq:workers:rowmill",
    "HGETALL rq:execution:a",
    "ZRANGE rq:wip:other 0 -1",
    "ZRANGE rq:finished:rowmill2 0 -1",
    "PUBLISH rq:pubsub:a b",
    "SUBSCRIBE rq:pubsub:a",
    "ZADD rowmill:models:rowmill 1 a",
    "HGETALL rowmill:webhook:a",
    "ZRANGE rowmill:webhooks:rowmill 0 -1",
    "ZADD rowmill:webhooks:other 1 a",
    "ZRANGE rowmill:models:other 0 -1",
    "CLIENT INFO",
]
FOR_SENDERS = [
    "HGETALL rq:job:a",
    "HSET rq:job:a status queued",
    "XADD rq:results:a * a b",
    "ZRANGE rq:wip:rowmill 0 -1",
    "ZRANGE rowmill:webhooks:other 0 -1",
    "ZADD rowmill:turns:rowmill 1 a",
    "PUBLISH rq:pubsub:a b",
]
DENIED = [("producer", words) for words in FOR_ALL + FOR_PRODUCERS]
DENIED += [("worker", words) for words in FOR_ALL]
DENIED += [("webhooks", words) for words in FOR_ALL + FOR_SENDERS]


@pytest.mark.parametrize(("user", "words"), DENIED, ids=[*map(" ".join, DENIED)])
def test_a_user_may_do_nothing_else(
    guarded: str, admin: redis.Redis, user: str, words: str
) -> None:
    with (
        open_connection(url_as(user, guarded)) as connection,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        connection.execute_command(*words.split())


@pytest.mark.parametrize("call", ["'FLUSHALL'", "'GET', 'secret'", "'PUBLISH', 'rq:pubsub:a', 'b'"])
def test_a_script_of_a_producer_s_own_may_not_do_more(
    guarded: str, admin: redis.Redis, call: str
) -> None:
    with open_connection(url_as("producer", guarded)) as connection:
        script = connection.register_script(f"return redis.call({call})")
        with pytest.raises(redis.ResponseError, match="ACL failure in script"):
            script()


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        (["-hset", "-zadd"], "the command hset, the command zadd"),
        (["-script|load"], "script|load"),
        (["resetchannels"], "listening to rq:pubsub:*"),
        (["resetkeys", "~rq:job:*", "~rq:[eqrsw]*"], "writing rq:finished:rowmill"),
        (["resetkeys", "~rq:worker:*"], "the keys rq:job:*"),
    ],
)
def test_a_worker_names_what_it_may_not_do_and_ends(
    admin: redis.Redis, start: Callable[..., WorkerProcess], taken: list[str], named: str
) -> None:
    admin.execute_command("ACL", "SETUSER", "worker", *taken)
    try:
        worker = start()
        assert worker.process.wait(60) == 3
    finally:
        make_users(admin)
    assert named in worker.log
    assert "Traceback" not in worker.log and "worker-password" not in worker.log


def test_a_viewer_an_operator_and_a_worker_see_and_a_producer_does_not(
    guarded: str, admin: redis.Redis, producer: Client
) -> None:
    job_id = producer.submit(prompt_tokens=[1, 2], tenant="acme")
    admin.sadd("rq:workers", "rq:worker:w1")
    admin.sadd(f"rq:workers:{QUEUE}", "rq:worker:w1")
    admin.hset("rq:worker:w1", "state", "idle")
    for user, everywhere in (("viewer", True), ("operator", True), ("worker", False)):
        with Client(url_as(user, guarded), QUEUE) as client:
            told = client.overview(everywhere=everywhere)
            assert [queue.num_waiting for queue in told.queues if queue.tenant] == [1]
            assert [worker.name for worker in told.workers] == ["w1"]
            assert client.life(job_id).prompt_tokens == 2
    with pytest.raises(PermissionDeniedError):
        producer.overview()


def test_a_viewer_changes_nothing(guarded: str, admin: redis.Redis, producer: Client) -> None:
    job_id = producer.submit(prompt_tokens=[1])
    with open_connection(url_as("viewer", guarded)) as viewer:
        for command in (
            ("HSET", f"rq:job:{job_id}", "status", "failed"),
            *(("DEL", f"rq:job:{job_id}"), ("LPOP", f"rq:queue:{QUEUE}")),
            *(("SADD", "rq:workers", "x"), ("EVAL", "return 1", 0), ("KEYS", "*")),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                viewer.execute_command(*command)
    assert producer.status(job_id) is JobStatus.QUEUED
