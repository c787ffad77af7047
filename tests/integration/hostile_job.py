"""HostileJob: a job as nobody should push it, put into the server by raw commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import uuid4

RawFields = dict[str, bytes | str]


class Ending(Enum):
    BY_PAYLOAD = "with rows if the payload is a good job after all, else as failed with a reason"
    RUNS = "with the rows of its payload"
    FAILS = "as failed, with a reason"
    RUNS_OR_FAILS = "with the rows of its payload, or as failed with a reason"
    DROPPED = "not at all: it is no job that waits, and stays as it is"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostileJob:
    """`fields` replace those that RQ writes; None leaves one out."""

    name: str
    ending: Ending
    data: bytes
    fields: Mapping[str, bytes | str | None] = dataclasses.field(default_factory=dict)
    job_id: bytes = dataclasses.field(default_factory=lambda: uuid4().hex.encode())
    commands: tuple[tuple[bytes | str, ...], ...] = ()
    """Run before the ID is pushed; ID stands for the job's ID in a key."""
    is_hash: bool = True
    """Whether there is a hash under the job's key."""
    num_pushes: int = 1

    def push(self, queue: str, pipe: Any) -> None:
        if self.is_hash:
            its: dict[str, Any] = {**rq_fields(queue, self.data), **self.fields}
            kept = {field: value for field, value in its.items() if value is not None}
            if kept:
                pipe.hset(b"rq:job:" + self.job_id, mapping=kept)
        for command, key, *arguments in self.commands:
            named = key.encode() if isinstance(key, str) else key
            pipe.execute_command(command, named.replace(b"ID", self.job_id), *arguments)
        for _ in range(self.num_pushes):
            pipe.rpush(f"rq:queue:{queue}", self.job_id)


def rq_fields(queue: str, data: bytes) -> RawFields:
    """The hash of a job as RQ's own `enqueue` writes it."""
    return {
        "created_at": "2026-11-25T00:00:00.000000Z",
        "enqueued_at": "2026-11-25T00:00:00.000001Z",
        "started_at": "",
        "ended_at": "",
        "last_heartbeat": "",
        "worker_name": "",
        "status": "queued",
        "origin": queue,
        "description": "a job",
        "timeout": "180",
        "data": data,
        "success_callback_name": "",
        "failure_callback_name": "",
        "stopped_callback_name": "",
    }
