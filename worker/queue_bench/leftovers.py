"""Leaves a server as it was found."""

from __future__ import annotations

from collections.abc import Sequence

import redis

_AT_ONCE = 1000


def forget(connection: redis.Redis, queue: str, job_ids: Sequence[str]) -> None:
    """Delete a queue that no worker serves any more, and these jobs, which were on it."""
    for start in range(0, len(job_ids), _AT_ONCE):
        part = job_ids[start : start + _AT_ONCE]
        connection.unlink(*(f"rq:{kind}:{its}" for its in part for kind in ("job", "results")))
    kinds = ("queue", "wip", "finished", "failed")
    connection.unlink(*(f"rq:{kind}:{queue}" for kind in kinds))
    connection.srem("rq:queues", f"rq:queue:{queue}")
