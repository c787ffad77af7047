"""Jobs on their way: nothing is lost that the server, or a reply, may lose."""

from __future__ import annotations

import pytest
import redis

from jobs import Client, GenerateJob, JobFailedError
from jobs.dataset.flow import Flow, Outcome
from tests.jobs.rq_worker import ROWS, fail, finish

IDS = [f"job-{number}" for number in range(5)]
JOBS = [(job_id, GenerateJob(prompt_tokens=(7,), seed=1)) for job_id in IDS]


@pytest.fixture
def flow(client: Client) -> Flow:
    """It looks at all jobs at every turn: what plays the worker puts no replies."""
    return Flow(client, "replies", seconds_between_looks=0.0)


def taken(flow: Flow) -> dict[str, Outcome]:
    outcomes = list(flow.take(0.0))
    assert len(dict(outcomes)) == len(outcomes), "an outcome came twice"
    return dict(outcomes)


def test_every_outcome_comes_once(flow: Flow, client: Client, connection: redis.Redis) -> None:
    flow.push(JOBS)
    assert taken(flow) == {}
    finish(connection, "job-2")
    fail(connection, "job-4", "no luck")
    outcomes = taken(flow)
    assert outcomes.keys() == {"job-2", "job-4"}
    assert outcomes["job-2"] == ROWS
    assert isinstance(outcomes["job-4"], JobFailedError)
    assert taken(flow) == {}
    assert len(flow) == 3

    flow.forget(["job-2", "job-4"])
    assert not connection.exists("rq:job:job-2", "rq:job:job-4", "rq:results:job-2")


def test_a_reply_without_a_look_is_enough(client: Client, connection: redis.Redis) -> None:
    flow = Flow(client, "replies", seconds_between_looks=1e9)
    flow.push(JOBS)
    finish(connection, "job-1")
    assert taken(flow) == {}
    connection.rpush("rowmill:replies:replies", "job-1", "a-stranger", "job-1")
    assert taken(flow).keys() == {"job-1"}
    connection.rpush("rowmill:replies:replies", "job-1")
    flow.finish()
    assert not connection.exists("rowmill:replies:replies")


def test_jobs_that_the_server_lost_are_pushed_again(
    flow: Flow, client: Client, connection: redis.Redis
) -> None:
    flow.push(JOBS)
    connection.flushall()
    assert taken(flow) == {}
    assert client.num_queued() == 5
    assert connection.lrange("rq:queue:rowmill", 0, -1) == [job_id.encode() for job_id in IDS]
    for job_id in IDS:
        finish(connection, job_id)
    assert taken(flow).keys() == set(IDS)


def test_a_job_whose_result_has_expired_is_pushed_again(
    flow: Flow, client: Client, connection: redis.Redis
) -> None:
    flow.push(JOBS[:1])
    finish(connection, "job-0")
    connection.delete("rq:results:job-0")
    connection.delete("rq:queue:rowmill")
    assert taken(flow) == {}
    assert client.num_queued() == 1


def test_jobs_of_a_process_that_died_are_joined(client: Client, connection: redis.Redis) -> None:
    """Queued, done and failed ones, whose replies are gone with it."""
    Flow(client, "replies").push(JOBS[:3])
    finish(connection, "job-0")
    fail(connection, "job-1", "no luck")

    flow = Flow(client, "replies", seconds_between_looks=1e9)
    flow.push(JOBS)
    assert taken(flow).keys() == {"job-0", "job-1"}
    assert client.num_queued() == 5  # the two have not left it here, as nobody claimed them
    assert len(flow) == 3
