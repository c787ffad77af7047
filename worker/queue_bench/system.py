"""System: a queue with its producer, its worker and its reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class System(Protocol):
    """On one queue of its own. Every method blocks until the server has answered."""

    name: str
    queue: str
    process: str
    """The module that runs its worker; see BenchProcess."""

    def submit(self) -> str:
        """Push one job and return its ID."""

    def submit_many(self, number: int) -> list[str]:
        """Push so many in the fastest way that there is."""

    def results(self, job_ids: Sequence[str]) -> None:
        """Wait for the jobs' rows and read them. Raises BenchError where one has none."""
