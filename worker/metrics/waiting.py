"""What waits in a worker's queues, seen at each heartbeat."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import redis

from worker.ledger import unix_time
from worker.scripts import script

_MOST_LOOKS = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Of one queue, its tenants' included."""

    jobs: int
    rows: int
    """Exact up to 128 jobs, an estimate from so many of them beyond."""
    oldest_seconds: float
    """Since the first of them was pushed; 0 where none waits."""


class WaitingWatch:
    """`by_queue` is what `look` saw last."""

    def __init__(self, connection: redis.Redis, queues: Sequence[str]) -> None:
        self._queues = queues
        self._script = script(connection, "waiting")
        self.by_queue: Mapping[str, Waiting] = {}

    def look(self) -> None:
        """Raises redis.RedisError where the server can't be reached or refuses."""
        now, *answers = self._script(_MOST_LOOKS, *self._queues)
        self.by_queue = {
            queue: Waiting(jobs=int(jobs), rows=int(rows), oldest_seconds=_age(float(now), oldest))
            for queue, (jobs, rows, oldest) in zip(self._queues, answers, strict=True)
        }


def _age(now: float, created_at: bytes) -> float:
    since = unix_time(created_at)
    return 0.0 if since is None else max(now - since, 0.0)
