"""Flow: jobs of one run on their way through a queue, never more than a number at a time.

An outcome comes at least once and is given once. What the server may have lost, and replies that
never arrived, are found by looking at all jobs on the way from time to time. While the server does
not answer, nothing is lost and nothing happens; the caller tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from jobs.client import Client
from jobs.errors import JobExistsError, JobNotFoundError, JobsError, ResultTimeoutError
from jobs.generate_job import GenerateJob
from jobs.sampled_rows import SampledRows
from jobs.wire import MsgpackSerializer

Outcome = SampledRows | JobsError

_RESULTS_AT_ONCE = 32
"""Rows take much more memory once they are read than where they lie."""


class Flow:
    """`reply_list`: of this run alone."""

    def __init__(
        self, client: Client, reply_list: str, *, seconds_between_looks: float = 15.0
    ) -> None:
        self._client = client
        self._reply_list = reply_list
        self._jobs: dict[str, bytes] = {}
        """Packed: a prompt's tuple of integers takes many times as much memory."""
        self._unsure: dict[str, None] = {}
        """Jobs of which we don't know whether the server has them, or told us of their end; in the
        order in which they are looked at."""
        self._seconds_between_looks = seconds_between_looks
        self._next_look = time.monotonic() + seconds_between_looks

    def __len__(self) -> int:
        """How many jobs are on the way."""
        return len(self._jobs)

    def push(self, jobs: Sequence[tuple[str, GenerateJob]]) -> None:
        """Sends jobs on their way; those that the server has already, from before, join them."""
        own = [
            (job_id, job.model_copy(update={"reply_to": self._reply_list})) for job_id, job in jobs
        ]
        self._jobs |= {job_id: MsgpackSerializer.dumps(job.fields()) for job_id, job in own}
        self._send(own)

    def take(self, seconds: float) -> Iterator[tuple[str, Outcome]]:
        """Outcomes of jobs that have ended, which are then no longer on the way.

        Waits for the first, at most `seconds`. The jobs stay on the server until `forget`.
        """
        if not self._jobs:
            return
        if time.monotonic() >= self._next_look:
            self._unsure |= dict.fromkeys(self._jobs)
            self._next_look = time.monotonic() + self._seconds_between_looks
        replied = self._client.replies(self._reply_list, 0.0 if self._unsure else seconds)
        self._unsure |= dict.fromkeys(job_id for job_id in replied if job_id in self._jobs)
        unsure = list(self._unsure)
        for start in range(0, len(unsure), _RESULTS_AT_ONCE):
            yield from self._look(unsure[start : start + _RESULTS_AT_ONCE])

    def forget(self, job_ids: Sequence[str]) -> None:
        """Deletes jobs that have ended from the server."""
        self._client.delete(job_ids)

    def finish(self) -> None:
        """Takes from the server what nobody will ask for, once no job is on the way."""
        while self._client.replies(self._reply_list, 0.0):
            pass

    def _look(self, job_ids: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        lost: list[str] = []
        for job_id, outcome in self._client.results(job_ids, 0):
            self._unsure.pop(job_id, None)
            if isinstance(outcome, JobNotFoundError):
                lost.append(job_id)
            elif not isinstance(outcome, ResultTimeoutError):
                del self._jobs[job_id]
                yield job_id, outcome
        if lost:
            self._client.delete(lost)  # of an expired result, the job may be there still
            self._send([(job_id, self._job(job_id)) for job_id in lost])

    def _job(self, job_id: str) -> GenerateJob:
        return GenerateJob.parse(MsgpackSerializer.loads(self._jobs[job_id]))

    def _send(self, jobs: Sequence[tuple[str, GenerateJob]]) -> None:
        job_ids = [job_id for job_id, _ in jobs]
        self._unsure |= dict.fromkeys(job_ids)
        there: set[str] = set()
        try:
            self._client.submit_many([job for _, job in jobs], job_ids=job_ids)
        except JobExistsError as error:
            there.update(error.job_ids)
        for job_id in job_ids:
            if job_id not in there:
                del self._unsure[job_id]
