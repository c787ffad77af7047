"""What RQ does after a job happens after ours, too, also where a worker dies in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import redis
from rq import Queue, Repeat
from rq.rate_limit import RateLimit, RateLimitRegistry
from rq.webhook import Webhook

from jobs import FUNCTION_NAME, Client, GenerateJob, MsgpackSerializer, SampledRows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import question
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]
JOB = question(max_tokens=4)


@pytest.fixture
def rq_queue(queue: str, connection: redis.Redis) -> Queue:
    return Queue(queue, connection=connection, serializer=MsgpackSerializer)


@pytest.fixture
def heard() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A URL, and what is posted to it."""
    posts: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", posts
        server.shutdown()
        thread.join()


def test_dependents_repeats_rate_limits_and_webhooks_work(
    rq_queue: Queue, client: Client, connection: redis.Redis, start_worker: StartWorker,
    expected: Expected, heard: tuple[str, list[dict[str, Any]]],
) -> None:  # fmt: skip
    fields = JOB.fields()
    hook, posts = heard
    first = rq_queue.enqueue(FUNCTION_NAME, kwargs=fields)
    dependent = rq_queue.enqueue(FUNCTION_NAME, kwargs=fields, depends_on=first)
    repeated = rq_queue.enqueue(FUNCTION_NAME, kwargs=fields, repeat=Repeat(times=3))
    limit = RateLimit("one-at-a-time", 1)
    limited = [rq_queue.enqueue(FUNCTION_NAME, kwargs=fields, rate_limit=limit) for _ in range(3)]
    told = rq_queue.enqueue(
        FUNCTION_NAME, kwargs=fields, webhooks=[Webhook(hook, job_status="finished", method="POST")]
    )
    bad = rq_queue.enqueue(
        FUNCTION_NAME,
        kwargs={**fields, "seed": -1},
        webhooks=[Webhook(hook, job_status="failed", method="POST")],
    )

    worker = start_worker("--lease", "1")

    for job in (first, dependent, *limited, told):
        assert client.result(job.id, timeout=60) == expected(JOB)
    until(lambda: connection.xlen(f"rq:results:{repeated.id}") == 4, what="three repeats")
    until(lambda: len(posts) == 2, what="both webhooks")
    assert {post["job_id"] for post in posts} == {told.id, bad.id}
    until(
        lambda: not connection.exists(f"rowmill:follow-ups:{rq_queue.name}"), what="the marks to go"
    )
    assert RateLimitRegistry("one-at-a-time", connection).get_allowed_job_ids() == []
    until(lambda: repeated.get_status(refresh=True) == "finished", what="the last repeat")
    assert "Traceback" not in worker.log


def test_webhooks_may_be_off(
    rq_queue: Queue, client: Client, connection: redis.Redis, start_worker: StartWorker,
    heard: tuple[str, list[dict[str, Any]]],
) -> None:  # fmt: skip
    hook, posts = heard
    start_worker("--no-webhooks")
    told = rq_queue.enqueue(
        FUNCTION_NAME,
        kwargs=JOB.fields(),
        webhooks=[Webhook(hook, job_status="finished", method="POST")],
    )
    client.result(told.id, timeout=60)
    until(
        lambda: not connection.exists(f"rowmill:follow-ups:{rq_queue.name}"), what="the mark to go"
    )
    assert posts == []


def test_what_a_dead_worker_left_undone_is_taken_over(
    rq_queue: Queue, client: Client, connection: redis.Redis, start_worker: StartWorker,
    expected: Expected,
) -> None:  # fmt: skip
    worker = start_worker("--lease", "1")
    first = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB.fields())
    client.result(first.id, timeout=60)
    worker.process.kill()
    worker.process.wait()
    # As it stands when the worker dies right after it has stored the outcome.
    second = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB.fields())
    dependent = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB.fields(), depends_on=second)
    connection.lrem(rq_queue.key, 0, second.id)
    connection.hset(second.key, "status", "finished")
    connection.zadd(f"rowmill:follow-ups:{rq_queue.name}", {second.id: 1})

    start_worker("--lease", "1")

    assert client.result(dependent.id, timeout=60) == expected(JOB)


def test_a_cancelled_job_frees_its_rate_limit(
    rq_queue: Queue, client: Client, start_worker: StartWorker, expected: Expected
) -> None:
    limit = RateLimit("freed", 1)
    first = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB.fields(), rate_limit=limit)
    second = rq_queue.enqueue(FUNCTION_NAME, kwargs=JOB.fields(), rate_limit=limit)
    assert client.cancel(first.id)
    start_worker()
    assert client.result(second.id, timeout=60) == expected(JOB)


def test_jobs_for_later_need_no_scheduler(
    rq_queue: Queue, client: Client, start_worker: StartWorker, expected: Expected
) -> None:
    start_worker("--lease", "1")
    job = rq_queue.enqueue_in(timedelta(seconds=1), FUNCTION_NAME, kwargs=JOB.fields())
    assert job.get_status() == "scheduled"
    assert client.result(job.id, timeout=60) == expected(JOB)
