"""Pushing, cancelling and asking, against a real server."""

from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job
from rq.registry import CanceledJobRegistry, StartedJobRegistry

from jobs import (
    FUNCTION_NAME,
    Client,
    GenerateJob,
    InvalidJobError,
    JobExistsError,
    JobNotFoundError,
    JobsError,
    JobStatus,
    MsgpackSerializer,
    ServerUnavailableError,
    generate,
)
from jobs.scripts import script
from tests.jobs.rq_worker import fail, fetch, finish, start

QUEUE = "rq:queue:rowmill"


def _ids(connection: redis.Redis, key: str = QUEUE) -> list[str]:
    raw: Any = connection.lrange(key, 0, -1)
    return [job_id.decode() for job_id in raw]


def _hash(connection: redis.Redis, job_id: str) -> dict[bytes, bytes]:
    fields: Any = connection.hgetall(f"rq:job:{job_id}")
    return dict(fields)


def test_a_pushed_job_reads_back_through_rq(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1, 2], num_samples=4, seed=7)

    job = fetch(connection, job_id)
    assert job.func_name == FUNCTION_NAME
    assert job.args == []
    assert GenerateJob.parse(job.kwargs) == GenerateJob(prompt_tokens=(1, 2), num_samples=4, seed=7)
    assert job.get_status() == "queued"
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (3600, 86400, 604800)
    assert job.retries_left == 2
    assert Queue.all(connection)[0].name == "rowmill"
    assert _ids(connection) == [job_id]


def test_a_job_is_stored_as_plain_rq_stores_it(client: Client, connection: redis.Redis) -> None:
    ours = client.submit(prompt_tokens=[1, 2], num_samples=2)
    plain = (
        Queue("rowmill", connection=connection, serializer=MsgpackSerializer)
        .enqueue(
            FUNCTION_NAME,
            **GenerateJob(prompt_tokens=(1, 2), num_samples=2).fields(),
            job_timeout=3600,
            result_ttl=86400,
            failure_ttl=604800,
            retry=Retry(2),
            description="jobs.generate(2 tokens x 2)",
        )
        .id
    )

    expected, found = _hash(connection, plain), _hash(connection, ours)
    assert found.pop(b"num_samples") == b"2"
    assert found.pop(b"life").startswith(b"pushed,")
    for name in (b"created_at", b"enqueued_at"):
        assert len(expected.pop(name)) == len(found.pop(name))
    assert found == expected
    assert _ids(connection) == [ours, plain]
    assert connection.ttl(f"rq:job:{ours}") == connection.ttl(f"rq:job:{plain}") == -1


def test_a_job_of_plain_rq_has_a_status_and_can_be_cancelled(
    client: Client, connection: redis.Redis
) -> None:
    queue = Queue("elsewhere", connection=connection, serializer=MsgpackSerializer)
    job_id = queue.enqueue("jobs.generate", prompt_tokens=[1, 2], num_samples=2).id

    assert client.status(job_id) is JobStatus.QUEUED
    assert client.cancel(job_id)
    assert queue.job_ids == []
    assert job_id in CanceledJobRegistry(queue=queue)


def test_one_attempt_means_no_retry(server: str, connection: redis.Redis) -> None:
    with Client(server, max_attempts=1) as client:
        job = fetch(connection, client.submit(prompt_tokens=[1]))
    assert job.retries_left == 0  # said outright: a worker would take silence for its own default


def test_many_jobs_keep_their_order(client: Client, connection: redis.Redis) -> None:
    job_ids = client.submit_many({"prompt_tokens": [i]} for i in range(2500))

    assert _ids(connection) == job_ids
    assert fetch(connection, job_ids[2100]).kwargs["prompt_tokens"] == (2100,)


def test_no_job_is_pushed_if_one_is_bad(client: Client, connection: redis.Redis) -> None:
    good = {"prompt_tokens": [1]}
    with pytest.raises(InvalidJobError, match="prompt_tokens") as caught:
        client.submit_many([good, {"prompt_tokens": []}, good])

    assert caught.value.__notes__ == ["in the job at index 1"]
    assert connection.keys() == []


def test_nothing_to_push_is_no_error(client: Client) -> None:
    assert client.submit_many([]) == []


def test_an_id_that_exists_is_left_alone(client: Client, connection: redis.Redis) -> None:
    client.submit(job_id="a", prompt_tokens=[1])
    before = _hash(connection, "a")

    with pytest.raises(JobExistsError) as caught:
        client.submit(job_id="a", prompt_tokens=[2])

    assert caught.value.job_ids == ("a",)
    assert _hash(connection, "a") == before
    assert _ids(connection) == ["a"]


def test_a_batch_pushed_again_adds_what_was_missing(
    client: Client, connection: redis.Redis
) -> None:
    client.submit(job_id="b", prompt_tokens=[2])

    with pytest.raises(JobExistsError) as caught:
        client.submit_many(
            [GenerateJob(prompt_tokens=(i,)) for i in range(3)], job_ids=["a", "b", "c"]
        )

    assert caught.value.job_ids == ("b",)
    assert _ids(connection) == ["b", "a", "c"]
    assert fetch(connection, "b").kwargs["prompt_tokens"] == (2,)


def test_a_push_that_is_sent_twice_counts_once(client: Client, connection: redis.Redis) -> None:
    # So a connection that repeats a command whose reply was lost does no harm.
    client.submit(job_id="a", prompt_tokens=[1])
    fields = _hash(connection, "a")
    again = [part for pair in fields.items() for part in pair]
    push = script(connection, "push")
    assert push("rowmill", "", "a", fields[b"created_at"], "", len(again), *again) == [1]
    assert _ids(connection) == ["a"]


@pytest.mark.parametrize("job_id", ["", "a b", "a/b", "a:b", "ä", "a" * 129, "a\n", 7])
def test_a_bad_job_id_is_refused_everywhere(client: Client, job_id: Any) -> None:
    for call in (client.result, client.status, client.cancel):
        with pytest.raises(InvalidJobError, match="job_id"):
            call(job_id)
    with pytest.raises(InvalidJobError, match="job_id"):
        client.submit(job_id=job_id, prompt_tokens=[1])


@pytest.mark.parametrize("job_ids", [["a"], ["a", "b", "c"], ["a", "a"]])
def test_ids_must_match_the_jobs(client: Client, job_ids: list[str]) -> None:
    with pytest.raises(InvalidJobError, match="job_ids"):
        client.submit_many([{"prompt_tokens": [1]}] * 2, job_ids=job_ids)


def test_a_job_and_fields_do_not_mix(client: Client) -> None:
    with pytest.raises(InvalidJobError, match="one or the other"):
        client.submit(GenerateJob(prompt_tokens=(1,)), seed=2)


def test_a_new_job_does_not_inherit_the_result_of_an_expired_one(
    client: Client, connection: redis.Redis
) -> None:
    client.submit(job_id="a", prompt_tokens=[1])
    finish(connection, "a")
    connection.delete("rq:job:a")

    client.submit(job_id="a", prompt_tokens=[1])
    assert connection.exists("rq:results:a") == 0


def test_the_status_follows_the_job(client: Client, connection: redis.Redis) -> None:
    done, failed = client.submit_many([{"prompt_tokens": [1]}] * 2)
    assert client.status(done) is JobStatus.QUEUED
    start(connection, done)
    assert client.status(done) is JobStatus.RUNNING
    finish(connection, done)
    assert client.status(done) is JobStatus.FINISHED
    fail(connection, failed, "no")
    assert client.status(failed) is JobStatus.FAILED
    with pytest.raises(JobNotFoundError):
        client.status("nobody")


def test_a_cancelled_job_leaves_the_queue_and_expires(
    client: Client, connection: redis.Redis
) -> None:
    job_id, other = client.submit_many([{"prompt_tokens": [1]}] * 2)

    assert client.cancel(job_id)
    assert _ids(connection) == [other]
    assert client.status(job_id) is JobStatus.CANCELLED
    assert fetch(connection, job_id).is_canceled
    assert 0 < connection.ttl(f"rq:job:{job_id}") <= 604800
    assert 0 < connection.ttl(f"rq:results:{job_id}") <= 604800
    assert not client.cancel(job_id)


def test_cancelling_a_running_job_ends_its_execution(
    client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    start(connection, job_id)
    running = StartedJobRegistry("rowmill", connection, serializer=MsgpackSerializer)
    assert job_id in running

    assert client.cancel(job_id)
    assert job_id not in running
    assert client.status(job_id) is JobStatus.CANCELLED


def test_a_finished_job_cannot_be_cancelled(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    finish(connection, job_id)

    assert not client.cancel(job_id)
    assert client.status(job_id) is JobStatus.FINISHED
    with pytest.raises(JobNotFoundError):
        client.cancel("nobody")


def test_a_stock_worker_is_told_why_it_cannot(client: Client, connection: redis.Redis) -> None:
    job: Job = fetch(connection, client.submit(prompt_tokens=[1]))
    with pytest.raises(JobsError, match="only a Rowmill worker"):
        job.perform()
    with pytest.raises(JobsError):
        generate()


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@127.0.0.1:1/0", "unix://:secret@/nowhere/s", "rediss://:secret@127.0.0.1:1"],
)
def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    with Client(url) as client, pytest.raises(ServerUnavailableError) as caught:
        client.submit(prompt_tokens=[1])

    assert "127.0.0.1:1" in str(caught.value) or "/nowhere/s" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost", "http://localhost", "redis://:secret@host:port"])
def test_a_bad_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidJobError, match="redis://") as caught:
        Client(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_connection_that_decodes_is_refused(server: str) -> None:
    with (
        redis.Redis.from_url(server, decode_responses=True) as connection,
        pytest.raises(InvalidJobError, match="decode_responses"),
    ):
        Client(connection)


@pytest.mark.parametrize("connection", [None, 7, object()])
def test_what_is_no_connection_is_refused(connection: Any) -> None:
    with pytest.raises(InvalidJobError, match=r"redis\.Redis"):
        Client(connection)


@pytest.mark.parametrize("queue", ["", "a b", "a:b", "a" * 129, None])
def test_a_bad_queue_name_is_refused(server: str, queue: Any) -> None:
    with pytest.raises(InvalidJobError, match="queue"):
        Client(server, queue)


@pytest.mark.parametrize("option", ["timeout", "result_ttl", "failure_ttl", "max_attempts"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_a_bad_option_is_refused(server: str, option: str, value: Any) -> None:
    with pytest.raises(InvalidJobError, match=option):
        Client(server, **{option: value})


def test_a_given_connection_stays_open(connection: redis.Redis) -> None:
    with Client(connection) as client:
        client.submit(prompt_tokens=[1])
    assert connection.ping()


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(
    client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    connection.script_flush()
    assert client.cancel(job_id)
    assert client.delete([job_id]) == 1
