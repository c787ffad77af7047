"""The heartbeat: keeps a worker's leases and record alive."""

from __future__ import annotations

import queue
from collections.abc import Callable

import redis

from worker.claims import Claims
from worker.ledger import Ledger
from worker.metrics.health import Health


class Heart:
    """`lost` holds the execution IDs that hold their job no more: it was cancelled, deleted, or
    given to another worker."""

    def __init__(
        self, ledger: Ledger, claims: Claims, health: Health, tell: Callable[[], None]
    ) -> None:
        """`tell` is called at each beat, to keep the worker's record alive."""
        self._ledger = ledger
        self._claims = claims
        self._health = health
        self._tell = tell
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()

    def beat(self) -> None:
        """Raises redis.RedisError where the server can't be reached or refuses."""
        try:
            if claims := self._claims.all():
                for execution_id in self._ledger.heartbeat(claims):
                    self.lost.put(execution_id)
            self._tell()
        except redis.RedisError as error:
            self._health.lose_server(error)
            raise
        self._health.heartbeat()
