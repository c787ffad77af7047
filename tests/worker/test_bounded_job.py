"""RQ's own reading of a job can't be made to fill the memory, to wait, or to show the job."""

from __future__ import annotations

import json
import zlib

import pytest
import redis
from rq.job import Job

from jobs import Client, MsgpackSerializer, WireError
from worker.bounded_job import BoundedJob

BOMB = zlib.compress(bytes(2**27))


def fetch(job_id: str, connection: redis.Redis) -> Job:
    return BoundedJob.fetch(job_id, connection, MsgpackSerializer)


@pytest.mark.parametrize("field", ["data", "exc_info"])
def test_what_inflates_without_end_is_not_read(
    client: Client, connection: redis.Redis, field: str
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    assert fetch(job_id, connection).kwargs["prompt_tokens"] == (1,)
    connection.hset(f"rq:job:{job_id}", field, BOMB)
    with pytest.raises(WireError, match=f"{field} inflates to more than"):
        fetch(job_id, connection)


def test_a_job_without_a_payload_is_not_shown(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    connection.hdel(f"rq:job:{job_id}", "data")
    connection.hset(f"rq:job:{job_id}", "webhooks", "a secret")
    with pytest.raises(WireError, match="no payload") as caught:
        fetch(job_id, connection)
    assert "secret" not in str(caught.value)


def test_a_webhook_does_not_hold_the_others_up(client: Client, connection: redis.Redis) -> None:
    job_id = client.submit(prompt_tokens=[1])
    webhook = {"url": "http://127.0.0.1:1", "job_status": "finished", "timeout": 10**6}
    connection.hset(f"rq:job:{job_id}", "webhooks", json.dumps([webhook]))
    assert [webhook.timeout for webhook in fetch(job_id, connection).webhooks] == [10]
