"""Rowmill's client, queue and worker."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from jobs import Client, SampledRows
from worker.queue_bench.payload import JOB, NUM_TOKENS

_TIMEOUT = 120.0


class RowmillSystem:
    """A System. Jobs may be a tenant's."""

    name = "rowmill"
    process = "worker.queue_bench.rowmill_process"

    def __init__(self, url: str, queue: str) -> None:
        self.queue = queue
        self._client = Client(url, queue)

    def submit(self) -> str:
        return self._client.submit(**JOB)

    def submit_many(self, number: int, tenant: str | None = None) -> list[str]:
        return self._client.submit_many([JOB | {"tenant": tenant}] * number)

    def results(self, job_ids: Sequence[str]) -> None:
        for job_id, outcome in self._client.results(job_ids, _TIMEOUT):
            if not isinstance(outcome, SampledRows):
                raise BenchError(f"job {job_id} has no rows: {outcome}")
            assert len(outcome.rows[0].tokens) == NUM_TOKENS
