"""A bad job fails alone and says why: by field and limit, in the worker where not before."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue
from rq.job import Job

from jobs import FUNCTION_NAME, Client, GenerateJob, JobFailedError, MsgpackSerializer, SampledRows
from tests.integration.conftest import StartWorker, reason_of
from tests.integration.job_mixes import mixed_jobs
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]

GOOD: dict[str, Any] = {"prompt_tokens": [256, 257, 49, 258, 259], "max_tokens": 4}

BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "empty prompt": ({"prompt_tokens": []}, "prompt_tokens"),
    "prompt of text": ({"prompt_tokens": "1"}, "prompt_tokens"),
    "prompt of floats": ({"prompt_tokens": [1.5]}, "prompt_tokens"),
    "token outside the vocabulary": ({"prompt_tokens": [265]}, "prompt_tokens.*264"),
    "prompt longer than the context": ({"prompt_tokens": [1] * 256}, "prompt_tokens.*255"),
    "no rows": ({"num_samples": 0}, "num_samples"),
    "more rows than the worker allows": ({"num_samples": 51}, "num_samples.*50"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "more tokens than the worker allows": ({"max_tokens": 101}, "max_tokens.*100"),
    "negative temperature": ({"temperature": -0.5}, "temperature"),
    "temperature that is no number": ({"temperature": float("nan")}, "temperature"),
    "temperature of text": ({"temperature": "hot"}, "temperature"),
    "top_k of zero": ({"top_k": 0}, "top_k"),
    "top_p above one": ({"top_p": 1.5}, "top_p"),
    "negative seed": ({"seed": -1}, "seed"),
    "boolean for a number": ({"num_samples": True}, "num_samples"),
    "unknown field": ({"tempreature": 1.0}, "tempreature"),
}


class Bomb:
    """A pickle of this creates a file where it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_bad_jobs_fail_alone(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
    tmp_path: Path,
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    reasons: dict[str, str] = {}
    neighbours: dict[str, GenerateJob] = {}
    good = iter(mixed_jobs(100))

    def push_neighbour() -> None:
        job = next(good)
        neighbours[client.submit(job)] = job

    def push_raw(data: bytes | None, reason: str) -> None:
        job_id = rq_queue.enqueue(FUNCTION_NAME, **GOOD).id
        connection.hdel(f"rq:job:{job_id}", "data")
        if data is not None:
            connection.hset(f"rq:job:{job_id}", "data", data)
        reasons[job_id] = reason
        push_neighbour()

    for fields, reason in BAD_FIELDS.values():
        reasons[rq_queue.enqueue(FUNCTION_NAME, kwargs={**GOOD, **fields}).id] = reason
        push_neighbour()
    reasons[rq_queue.enqueue("os.system", "true").id] = "function.*os.system"
    reasons[rq_queue.enqueue(FUNCTION_NAME, args=([1, 2],)).id] = "args"
    reasons[rq_queue.enqueue(FUNCTION_NAME, on_success=Callback(print), kwargs=GOOD).id] = (
        "success_callback"
    )
    reasons[rq_queue.enqueue(FUNCTION_NAME, on_failure=Callback(print), kwargs=GOOD).id] = (
        "failure_callback"
    )
    trap = tmp_path / "was-read"
    push_raw(zlib.compress(pickle.dumps(Bomb(trap))), "pickle")
    push_raw(b"\x00garbage", "WireError")
    push_raw(None, "WireError")
    push_raw(zlib.compress(bytes(2**27)), "inflates to more than")
    push_raw(zlib.compress(MsgpackSerializer.dumps([1, 2, 3])), "not a call")
    connection.rpush(rq_queue.key, "no-such-job", b"\xff\xfe")
    push_neighbour()

    start_worker("--max-num-samples", "50", "--max-new-tokens", "100")

    for job_id, reason in reasons.items():
        with pytest.raises(JobFailedError, match=reason):
            client.result(job_id, timeout=60)
        assert connection.zscore(f"rq:failed:{queue}", job_id) is not None
    outcomes = dict(client.results(neighbours, timeout=60))
    assert outcomes == {job_id: expected(job) for job_id, job in neighbours.items()}
    assert not trap.exists()
    assert connection.llen(rq_queue.key) == 0
    assert connection.zcard(f"rq:wip:{queue}") == 0


def test_a_bad_job_is_failed_in_the_words_of_rq(
    queue: str, connection: redis.Redis, start_worker: StartWorker
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    pushed = rq_queue.enqueue(FUNCTION_NAME, kwargs={**GOOD, "seed": "x"})
    start_worker()
    until(pushed.get_status, what="the job")
    until(lambda: pushed.get_status() == "failed", what="the failure")
    job = Job.fetch(pushed.id, connection, MsgpackSerializer)
    assert "seed" in reason_of(job.id, connection)
    assert job.id in rq_queue.failed_job_registry
