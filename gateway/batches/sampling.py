"""Sampling: a batch's requests through the queue, as a dataset's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice

from gateway.batches.counts import Counts
from gateway.batches.refusal import Refusals
from gateway.batches.requests import Requests
from gateway.batches.results import Results
from jobs import (
    Client,
    GenerateJob,
    JobFailedError,
    JobNotFoundError,
    ResultTimeoutError,
    SampledRows,
)
from jobs.dataset.failure import Failure
from jobs.dataset.inputs import Input
from jobs.dataset.journal import InputRows
from jobs.dataset.manifest import job_prefix
from jobs.dataset.missing import Found, InJournal, MissingRows
from jobs.dataset.progress import Progress
from jobs.dataset.session import Session
from jobs.dataset.tolerance import Tolerance


class Sampling:
    """`batch_id`, with the queue, is in the IDs of the jobs: who goes on finds them."""

    def __init__(
        self, batch_id: str, queue: str, requests: Requests, results: Results, *, in_flight: int
    ) -> None:
        self._prefix = job_prefix(batch_id, queue)
        self._requests = requests
        self._results = results
        self._in_flight = in_flight

    def run(self, client: Client, counts: Counts, while_waiting: Callable[[], None]) -> None:
        """Until all results are there. `while_waiting` is called every second, and may raise.

        Raises ServerUnavailableError where the server does not answer for ten minutes.
        """
        session = Session(
            client,
            self._prefix,
            self._missing(counts, Refusals(client)),
            self._results,
            Progress(num_inputs=0),
            lambda provenance: None,
            keeps_prompts=False,
            in_flight=self._in_flight,
            tolerance=Tolerance(),
        )
        for result in session.results(while_waiting):
            counts.end(result.index, has_failed=result.failure is not None)

    def withdraw(self, client: Client) -> None:
        """Takes what has ended, and the rest out of the queue. Raises ServerUnavailableError."""
        missing = (
            (place, job, request.custom_id)
            for request in self._requests
            for place, job in request.jobs()
            if place not in self._results
        )
        # Jobs go out in order, and so many at once: all that the server has are among the first.
        first = islice(missing, self._in_flight)
        jobs = {self._job_id(place): (place, job, custom_id) for place, job, custom_id in first}
        for job_id, outcome in client.results(jobs, 0):
            place, job, custom_id = jobs[job_id]
            if isinstance(outcome, SampledRows):
                self._results.add_rows(_rows(place, job, outcome))
            elif isinstance(outcome, JobFailedError):
                kind = type(outcome).__name__
                self._results.add_failure(Failure(place, None, custom_id, kind, outcome.reason))
            elif isinstance(outcome, ResultTimeoutError):
                _cancel(client, job_id)
        self._results.sync()
        client.delete(jobs)

    def _missing(self, counts: Counts, refusals: Refusals) -> Iterator[Found]:
        for request in self._requests:
            jobs = list(request.jobs())
            if not jobs:
                counts.refuse()
                continue
            counts.begin(request.index, len(jobs))
            missing = [(place, job) for place, job in jobs if place not in self._results]
            refusal = refusals.of(request) if missing else None
            for place, _ in jobs:
                if place in self._results:
                    has_failed = isinstance(self._results.get(place), Failure)
                    counts.end(place, has_failed=has_failed)
                    yield InJournal(place)
            for place, job in missing:
                its = Input(index=place, location=request.custom_id, id=None, job=job)
                yield MissingRows(its, job) if refusal is None else refusal.failure(place)

    def _job_id(self, place: int) -> str:
        return f"{self._prefix}-{place}"


def _rows(place: int, job: GenerateJob, rows: SampledRows) -> InputRows:
    return InputRows(index=place, id=None, seed=job.seed, first_row=job.first_row, rows=rows)


def _cancel(client: Client, job_id: str) -> None:
    with contextlib.suppress(JobNotFoundError):  # where it ended and was deleted in between
        client.cancel(job_id)
