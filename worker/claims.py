"""The claims that a worker holds: from the queue's reply until their outcome is stored."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from worker.claim import Claim


class Claims:
    """A dictionary by execution ID, shared by the step, heartbeat and finalizer threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    def add(self, claims: Iterable[Claim]) -> None:
        with self._lock:
            self._claims.update((claim.execution_id, claim) for claim in claims)

    def remove(self, claims: Iterable[Claim]) -> None:
        with self._lock:
            for claim in claims:
                self._claims.pop(claim.execution_id, None)

    def all(self) -> list[Claim]:
        """In the order in which they were claimed."""
        with self._lock:
            return list(self._claims.values())

    def __len__(self) -> int:
        return len(self._claims)
