"""Whatever a job's hash holds, the worker imports, evaluates and unpickles nothing of it.

A module lies where the worker could import it; importing it, calling its function and unpickling
leave a file behind each.
"""

from __future__ import annotations

import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue
from rq.job import Job

from jobs import (
    FUNCTION_NAME,
    Client,
    GenerateJob,
    JobFailedError,
    MsgpackSerializer,
    SampledRows,
)
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import question
from tests.waiting import until

TRAP = """
import pathlib
here = pathlib.Path(__file__).parent / "sprung"
(here / "imported").touch()

def spring(*args, **kwargs):
    (here / "called").touch()
"""
CODE = "__import__('trap').spring()"
CALLBACKS = ("success", "failure", "stopped")


class Unpickled:
    """A pickle of this creates a file where it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stays empty; workers started from now on could import `trap`."""
    sprung = tmp_path / "sprung"
    sprung.mkdir()
    (tmp_path / "trap.py").write_text(TRAP)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())])
    monkeypatch.setenv("PYTHONPATH", path)
    return sprung


def hashes(pickled: bytes) -> list[dict[str, Any]]:
    """What jobs that run carry beside their payload."""
    return [
        {"meta": pickled, "result": pickled, "exc_info": zlib.compress(pickled)},
        {"exc_info": pickled, "description": CODE, "worker_name": "trap.spring"},
        {"group_id": "trap.spring", "retry_intervals": CODE},
        {"dependency_ids": CODE},
        {"dependency_ids": json.dumps(["trap.spring"]), "allow_dependency_failures": CODE},
        {"webhooks": pickled},
        {"webhooks": json.dumps([{"url": "file:///etc/passwd", "job_status": "finished"}])},
        {"job_class": "trap.spring", "serializer": "trap.spring", "func_name": "trap.spring"},
        {"origin": CODE, "enqueue_at_front": CODE, "ttl": CODE},
    ]


def calls(pickled: bytes) -> list[Any]:
    """Payloads that are no job of ours."""
    fields = question().fields()
    return [
        ("trap.spring", None, [], {}),
        ("trap", None, [], {}),
        (CODE, None, [], {}),
        (FUNCTION_NAME, "trap.spring", [], fields),
        (FUNCTION_NAME, None, ["trap.spring"], fields),
        (FUNCTION_NAME, None, [], {**fields, "seed": CODE}),
        (FUNCTION_NAME, None, [], {**fields, CODE: 1}),
        (FUNCTION_NAME, None, [], {**fields, "prompt_tokens": pickled}),
        pickled,
    ]


def test_nothing_that_a_job_carries_is_imported_evaluated_or_unpickled(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Callable[[GenerateJob], SampledRows],
    trapped: Path,
) -> None:
    pickled = pickle.dumps(Unpickled(trapped / "unpickled"))
    plain = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    good = question(seed=3)

    def push(**fields: Any) -> Job:
        """With a webhook and a rate limit, so that RQ's code reads the whole hash at its end."""
        job = plain.enqueue(FUNCTION_NAME, kwargs=good.fields())
        webhook = {"url": "http://127.0.0.1:1", "job_status": "finished"}
        following = {"webhooks": json.dumps([webhook]), "rate_limit_key": "trap.spring"}
        connection.hset(job.key, mapping={**following, **fields})
        return job

    runnable = [push(**fields).id for fields in hashes(pickled)]
    runnable.append(push(repeats_left=1, repeat_intervals=CODE).id)
    refused = [push(**{f"{kind}_callback_name": "trap.spring"}).id for kind in CALLBACKS]
    for call in calls(pickled):
        data = call if isinstance(call, bytes) else MsgpackSerializer.dumps(call)
        refused += [push(data=data).id, push(data=zlib.compress(data)).id]
    parent = plain.enqueue(FUNCTION_NAME, kwargs=good.fields())
    child = plain.enqueue("trap.spring", depends_on=parent)
    connection.hset(child.key, mapping={"meta": pickled, "success_callback_name": "trap.spring"})

    worker = start_worker()
    (record,) = connection.smembers(f"rq:workers:{queue}")
    channel = record.decode().replace("rq:worker:", "rq:pubsub:")
    for message in (pickled, CODE, json.dumps({"command": "trap.spring"})):
        connection.publish(channel, message)

    for job_id in runnable:
        assert client.result(job_id, timeout=60).rows == expected(good).rows
    for job_id in refused:
        with pytest.raises(JobFailedError):
            client.result(job_id, timeout=60)
    until(lambda: child.get_status() == "failed", what="the dependent to be refused")
    worker.process.terminate()
    assert worker.process.wait(60) == 0, worker.log
    assert list(trapped.iterdir()) == []
