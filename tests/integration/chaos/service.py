"""Service: uses the queue as anybody would: pushes jobs, reads their rows, and removes them."""

from __future__ import annotations

import time

import redis

from jobs import (
    Client,
    JobExistsError,
    ResultTimeoutError,
    SampledRows,
    ServerUnavailableError,
)
from jobs.connection import open_connection
from tests.integration.chaos.plan import Plan
from tests.integration.chaos.workload import Workload

_MAX_ATTEMPTS = 1000
_PUSH_EVERY = 1.0
"""Many at once, so that there is a queue, and workers are full when something befalls them."""
_READ_EVERY = 0.5
_KEPT = 500
"""Jobs that are read stay for a while, for all to see that they stay as they are."""
_REMOVE_AT_ONCE = 100


class Service:
    """One queue's producer and reader. Whatever fails is tried again, as it was."""

    def __init__(self, url: str, queue: str, plan: Plan, workload: Workload) -> None:
        self._client = Client(url, queue, max_attempts=_MAX_ATTEMPTS)
        self._connection = open_connection(url)
        self._plan = plan
        self._workload = workload
        self._started = time.monotonic()
        self._next_read = 0.0
        self._next_push = 0.0
        self._num_pushed = 0
        self._in_push: list[str] = []
        self._waiting: dict[str, int] = {}
        """Job IDs that are pushed, with their index."""
        self._read: dict[str, int] = {}
        self._in_removal: list[str] = []
        self.rows: dict[int, SampledRows] = {}
        """What was read, by job index."""
        self.attempts: dict[str, int] = {}
        """Executions that were begun, by job ID; known once the job is removed."""
        self.provenances: set[str] = set()
        """That jobs came with, and those of their rows alone: one, where all is well."""
        self.num_failures = 0
        """How often the server or the connection failed this service."""

    @property
    def is_done(self) -> bool:
        """Whether all jobs were pushed and their rows read."""
        return len(self.rows) == self._plan.num_jobs

    @property
    def known(self) -> list[str]:
        """Jobs that are there."""
        return [*self._waiting, *self._read]

    @property
    def unsure(self) -> set[str]:
        """Jobs that may be there: the call that pushes or removes them has not come back well."""
        return {*self._in_push, *self._in_removal}

    def act(self) -> None:
        """Push what is due, read what is done, and remove what was read a while ago."""
        try:
            self._push()
            self._read_results()
            if self._in_removal or len(self._read) >= _KEPT + _REMOVE_AT_ONCE:
                self._remove(list(self._read)[:_REMOVE_AT_ONCE])
        except (ServerUnavailableError, redis.ConnectionError):
            self.num_failures += 1

    def remove_all(self) -> None:
        while self.unsure or self._read:
            self._remove(list(self._read))

    def close(self) -> None:
        self._client.close()
        self._connection.close()

    def _push(self) -> None:
        is_again = bool(self._in_push)
        if time.monotonic() < self._next_push and not is_again:
            return
        self._next_push = time.monotonic() + _PUSH_EVERY
        due = int((time.monotonic() - self._started) * self._plan.jobs_per_second)
        number = len(self._in_push) or min(due, self._plan.num_jobs) - self._num_pushed
        indices = range(self._num_pushed, self._num_pushed + number)
        self._in_push = [f"job-{index}" for index in indices]
        try:
            jobs = [self._workload.job(index) for index in indices]
            self._client.submit_many(jobs, job_ids=self._in_push)
        except JobExistsError:
            assert is_again, "a push that nothing disturbed pushes each job once"
        self._waiting.update(zip(self._in_push, indices, strict=True))
        self._num_pushed += len(self._in_push)
        self._in_push = []

    def _read_results(self) -> None:
        if time.monotonic() < self._next_read:
            return
        self._next_read = time.monotonic() + _READ_EVERY
        for job_id, outcome in self._client.results(list(self._waiting), timeout=0):
            if isinstance(outcome, ResultTimeoutError):
                continue
            assert isinstance(outcome, SampledRows), f"{job_id}: {outcome!r}"
            index = self._waiting.pop(job_id)
            alone = self._workload.rows(index)
            assert outcome.rows == alone.rows, f"{job_id} has other rows than alone"
            self.provenances |= {str(outcome.provenance), str(alone.provenance)}
            self.rows[index] = outcome
            self._read[job_id] = index

    def _remove(self, job_ids: list[str]) -> None:
        """As `_push`, what fails is tried again; jobs that are gone already are no failure."""
        self._in_removal = self._in_removal or job_ids
        for job_id in self._in_removal:
            self._read.pop(job_id, None)
        for job_id in self._in_removal:
            left = self._connection.hget(f"rq:job:{job_id}", "retries_left")
            if left is not None:
                self.attempts[job_id] = _MAX_ATTEMPTS - int(left)
        self._client.delete(self._in_removal)
        self._in_removal = []
