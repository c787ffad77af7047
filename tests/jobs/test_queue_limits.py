"""A queue that is full, jobs that are deleted, and lists that tell which jobs have ended."""

import threading
from typing import Any

import pytest
import redis

from jobs import Client, InvalidJobError, JobNotFoundError, JobStatus, QueueFullError
from tests.jobs.rq_worker import fail, fetch, finish, start

JOB: dict[str, Any] = {"prompt_tokens": [1]}


def test_a_full_queue_refuses_and_tells_which_jobs(server: str, connection: redis.Redis) -> None:
    with Client(server, max_queued=3) as client:
        client.submit(**JOB)
        with pytest.raises(QueueFullError, match="max_queued") as caught:
            client.submit_many([JOB] * 4, job_ids=["a", "b", "c", "d"])

        assert caught.value.job_ids == ("c", "d")
        assert caught.value.pushed == ("a", "b")
        assert (caught.value.queue, caught.value.max_queued) == ("rowmill", 3)
        assert client.num_queued() == 3
        with pytest.raises(JobNotFoundError):
            client.status("c")
        connection.lpop("rq:queue:rowmill")
        client.submit(**JOB)


def test_many_jobs_beyond_the_limit_are_all_named(server: str, connection: redis.Redis) -> None:
    job_ids = [f"j{n}" for n in range(2500)]
    with Client(server, max_queued=1200) as client:
        with pytest.raises(QueueFullError) as caught:
            client.submit_many([JOB] * 2500, job_ids=job_ids)
        assert caught.value.job_ids == tuple(job_ids[1200:])
        assert caught.value.pushed == tuple(job_ids[:1200])
        assert client.num_queued() == 1200


def test_a_submit_may_wait_for_room_and_keeps_the_order(
    server: str, connection: redis.Redis
) -> None:
    job_ids = [f"j{n}" for n in range(30)]
    taken: list[str] = []

    def take() -> None:
        while len(taken) < 30:
            found: Any = connection.blpop(["rq:queue:rowmill"], 5)
            taken.append(found[1].decode())

    thread = threading.Thread(target=take)
    with Client(server, max_queued=2, wait_when_full=None) as client:
        thread.start()
        assert client.submit_many([JOB] * 30, job_ids=job_ids) == job_ids
    thread.join()
    assert taken == job_ids


def test_a_wait_for_room_ends(server: str, connection: redis.Redis) -> None:
    with Client(server, max_queued=1, wait_when_full=0.05) as client:
        client.submit(**JOB)
        with pytest.raises(QueueFullError):
            client.submit(**JOB)


def test_each_tenant_has_the_room(server: str, connection: redis.Redis) -> None:
    with Client(server, max_queued=1) as client:
        for tenant in (None, "a", "b"):
            client.submit(**JOB, tenant=tenant)
        with pytest.raises(QueueFullError, match="rowmill@a"):
            client.submit(**JOB, tenant="a")


@pytest.mark.parametrize(
    "limit",
    [
        {"max_queued": 0},
        {"wait_when_full": -1},
        {"wait_when_full": "x"},
        {"wait_when_away": -1},
        {"max_payload_bytes": 0},
    ],
)
def test_a_limit_that_is_none_is_refused(server: str, limit: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError, match=next(iter(limit))):
        Client(server, **limit)


def test_a_payload_that_no_worker_would_take_is_refused(
    server: str, connection: redis.Redis
) -> None:
    with Client(server, max_payload_bytes=1000) as client:
        with pytest.raises(InvalidJobError, match=r"payload.*1000"):
            client.submit(prompt_tokens=[n % 60_000 for n in range(1000)])
        assert client.num_queued() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("tenant", "a@b"), ("tenant", ""), ("reply_to", "a b"), ("deadline_seconds", 0)],
)
def test_bad_delivery_fields_are_named(client: Client, field: str, value: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        client.submit(**JOB, **{field: value})
    assert caught.value.field == field


def test_jobs_that_are_done_are_deleted_without_a_trace(
    client: Client, connection: redis.Redis
) -> None:
    done, failed, cancelled, running, queued = client.submit_many([JOB] * 5)
    for job_id in (done, failed):
        with connection.pipeline() as pipe:
            start(connection, job_id).delete(fetch(connection, job_id), pipe)
            pipe.execute()
    finish(connection, done)
    fail(connection, failed, "broken")
    client.cancel(cancelled)
    start(connection, running)

    assert client.delete([done, failed, cancelled, running, queued, "no-such-job"]) == 3

    for job_id in (done, failed, cancelled):
        assert connection.keys(f"*{job_id}*") == []
        with pytest.raises(JobNotFoundError):
            client.status(job_id)
    for registry in ("finished", "failed", "canceled"):
        assert connection.zcard(f"rq:{registry}:rowmill") == 0
    assert client.status(running) is JobStatus.RUNNING
    assert client.status(queued) is JobStatus.QUEUED


def test_a_cancelled_job_is_on_its_reply_list(client: Client, connection: redis.Redis) -> None:
    first, second = client.submit_many([{**JOB, "reply_to": "mine"}] * 2)
    client.submit(**JOB)
    client.cancel(second)
    client.cancel(first)

    assert client.replies("mine", timeout=1) == [second, first]
    assert client.replies("mine", timeout=0) == []
    assert client.replies("mine", timeout=0.01) == []
    assert fetch(connection, first).is_canceled


def test_a_reply_list_s_name_is_checked(client: Client) -> None:
    with pytest.raises(InvalidJobError, match="reply_to"):
        client.replies("a b")
