"""The heartbeat: keeps a worker's leases and record alive."""

from __future__ import annotations

import queue
from collections.abc import Callable

from worker.claims import Claims
from worker.ledger import Ledger


class Heart:
    """`lost` holds the execution IDs that hold their job no more: it was cancelled, deleted, or
    given to another worker."""

    def __init__(self, ledger: Ledger, claims: Claims, publish: Callable[[], None]) -> None:
        self._ledger = ledger
        self._claims = claims
        self._publish = publish
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()

    def beat(self) -> None:
        """Raises redis.RedisError where the server can't be reached or refuses."""
        if claims := self._claims.all():
            for execution_id in self._ledger.heartbeat(claims):
                self.lost.put(execution_id)
        self._publish()
