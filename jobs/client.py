"""Client: how a service pushes jobs and reads rows back."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis

from jobs.connection import check_connection, longest_block, open_connection
from jobs.errors import InvalidJobError, JobExistsError, JobsError, QueueFullError, brief
from jobs.generate_job import GenerateJob
from jobs.job_options import MAX_PAYLOAD_BYTES, JobOptions
from jobs.job_status import JobStatus
from jobs.names import check_job_id, check_name, check_queue_name, queue_of
from jobs.row_delta import RowDelta
from jobs.rq_queue import Pushed, RqQueue
from jobs.sampled_rows import SampledRows
from jobs.waiting import wait_for

JOBS_PER_PUSH = 1000
"""How many jobs go to the server in one round trip."""
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.5
"""Seconds between looks at a queue that is full."""


class Client:
    """Pushes jobs to one queue and reads their rows.

    `url_or_connection`: a redis://, rediss:// or unix:// URL, or a `redis.Redis` that leaves
    responses as bytes. `timeout`, `result_ttl` and `failure_ttl` are whole seconds; see JobOptions.
    `wait_when_full`: how many seconds a submit waits while `max_queued` jobs stand in the queue, or
    in its tenant's: 0 raises QueueFullError at once, None waits for ever.
    The constructor sends nothing. Any method raises ServerUnavailableError within seconds if the
    server does not answer, and InvalidJobError for a bad argument before anything is sent. A client
    may be shared by threads.
    """

    def __init__(
        self,
        url_or_connection: str | redis.Redis,
        queue: str = "rowmill",
        *,
        timeout: int = 3600,
        result_ttl: int = 86_400,
        failure_ttl: int = 7 * 86_400,
        max_attempts: int = 3,
        max_queued: int | None = None,
        wait_when_full: float | None = 0.0,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        check_queue_name(queue)
        options = JobOptions(
            timeout=timeout,
            result_ttl=result_ttl,
            failure_ttl=failure_ttl,
            max_attempts=max_attempts,
            max_queued=max_queued,
            max_payload_bytes=max_payload_bytes,
        )
        is_number = isinstance(wait_when_full, int | float)
        if wait_when_full is not None and not (is_number and wait_when_full >= 0):
            limit = "None or a number of seconds of at least 0"
            raise InvalidJobError("wait_when_full", brief(wait_when_full), limit)
        self._queue_name = queue
        self._max_queued = max_queued
        self._wait_when_full = wait_when_full
        self._owns_connection = isinstance(url_or_connection, str)
        self._connection = check_connection(
            open_connection(url_or_connection)
            if isinstance(url_or_connection, str)
            else url_or_connection
        )
        self._max_block = longest_block(self._connection)
        self._queue = RqQueue(queue, self._connection, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, if the client opened it."""
        if self._owns_connection:
            self._connection.close()

    def submit(
        self, job: GenerateJob | None = None, /, *, job_id: str | None = None, **fields: Any
    ) -> str:
        """Pushes one job, given whole or as the fields of a GenerateJob, and returns its ID.

        A `job_id` of the caller's must be new: an ID that exists raises JobExistsError and changes
        nothing. Without one the job gets a random ID.
        """
        if job is not None and fields:
            raise InvalidJobError("job", "a job together with fields", "one or the other")
        job_ids = None if job_id is None else [job_id]
        return self.submit_many([fields if job is None else job], job_ids=job_ids)[0]

    def submit_many(
        self,
        jobs: Iterable[GenerateJob | Mapping[str, Any]],
        *,
        job_ids: Sequence[str] | None = None,
    ) -> list[str]:
        """Pushes many jobs, 1,000 in a round trip, and returns their IDs in the same order.

        All are checked before any is pushed; the error's note says which one was bad. IDs that
        exist are left alone, all other jobs are pushed, and then JobExistsError lists the IDs that
        existed: so a batch with IDs of the caller's can be pushed again after a failure. Where the
        queue is full, QueueFullError lists the IDs that were not pushed, and those that were.
        """
        checked = [_checked(job, index) for index, job in enumerate(jobs)]
        if job_ids is None:
            job_ids = [uuid4().hex for _ in checked]
        else:
            _check_job_ids(job_ids, len(checked))
        taken: list[str] = []
        pairs = list(zip(job_ids, checked, strict=True))
        for start in range(0, len(pairs), JOBS_PER_PUSH):
            left = self._push(pairs[start : start + JOBS_PER_PUSH], taken)
            if left:
                assert self._max_queued is not None
                full = queue_of(self._queue_name, left[0][1].tenant)
                left += pairs[start + JOBS_PER_PUSH :]
                left_ids = tuple(job_id for job_id, _ in left)
                others = {*left_ids, *taken}
                pushed = tuple(job_id for job_id in job_ids if job_id not in others)
                raise QueueFullError(full, self._max_queued, left_ids, pushed, tuple(taken))
        if taken:
            raise JobExistsError(tuple(taken))
        return list(job_ids)

    def _push(
        self, jobs: list[tuple[str, GenerateJob]], taken: list[str]
    ) -> list[tuple[str, GenerateJob]]:
        """Pushes jobs, waiting for room as long as is wanted; returns those for which there is
        none, and adds the IDs that other jobs have to `taken`."""
        started, wait = time.monotonic(), _FIRST_WAIT
        while True:
            answers = self._queue.push(jobs)
            taken += [job_id for job_id, answer in answers.items() if answer is Pushed.TAKEN]
            jobs = [(job_id, job) for job_id, job in jobs if answers[job_id] is Pushed.FULL]
            patience = self._wait_when_full
            if not jobs or (patience is not None and time.monotonic() >= started + patience):
                return jobs
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def result(self, job_id: str, timeout: float | None = None) -> SampledRows:
        """Waits until the job is done and returns its rows.

        Waits at most `timeout` seconds: None is for ever, 0 looks once. Raises ResultTimeoutError,
        JobFailedError, JobCancelledError, JobNotFoundError (no such job, or its result has
        expired), or WireError if the result is not Rowmill's.
        """
        (_, outcome), *_ = self.results([job_id], timeout)
        if isinstance(outcome, JobsError):
            raise outcome
        return outcome

    def results(
        self, job_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, SampledRows | JobsError]]:
        """Waits for many jobs; yields each ID once with its rows, or the error for having none.

        In order of completion, among the first 500 that are not done. After `timeout` seconds in
        all, the jobs that are left come with a ResultTimeoutError. The errors are those of
        `result`; a server that does not answer is raised.
        """
        job_ids = list(job_ids)
        for job_id in job_ids:
            check_job_id(job_id)
        return wait_for(self._queue, job_ids, timeout, self._max_block)

    def stream(self, job_id: str, timeout: float | None = None) -> Iterator[RowDelta]:
        """Yields what the job's rows say while they are sampled: each token once, in order.

        Tokens come as they are made where the job was pushed with `stream=True`, and otherwise all
        at its end; then and later they can be read again. It is over when every row's
        `finish_reason` was told. Raises what `result` does, and StreamDivergedError.
        """
        result = self.result(job_id, timeout)
        for index, row in enumerate(result.rows):
            yield RowDelta(row=index, start=0, **row.model_dump())

    def status(self, job_id: str) -> JobStatus:
        """Where the job stands; raises JobNotFoundError if there is no such job."""
        check_job_id(job_id)
        return self._queue.status(job_id)

    def cancel(self, job_id: str) -> bool:
        """Cancels a job: it leaves the queue, or its worker gives it up.

        Whoever waits for its result gets JobCancelledError at once. Returns False if it was
        finished, failed or cancelled before; raises JobNotFoundError if there is no such job.
        """
        check_job_id(job_id)
        return self._queue.cancel(job_id)

    def delete(self, job_ids: Iterable[str]) -> int:
        """Deletes jobs that are done, with their rows, and returns how many.

        Jobs that are queued or running, and IDs that no job has, are left alone.
        """
        if isinstance(job_ids, str):
            raise InvalidJobError("job_ids", brief(job_ids), "a list of IDs")
        job_ids = list(job_ids)
        for job_id in job_ids:
            check_job_id(job_id)
        chunks = range(0, len(job_ids), JOBS_PER_PUSH)
        return sum(self._queue.delete(job_ids[at : at + JOBS_PER_PUSH]) for at in chunks)

    def replies(self, name: str, timeout: float | None = None) -> list[str]:
        """Takes the IDs of jobs that have ended off the reply list that they named (`reply_to`).

        Waits at most `timeout` seconds for the first, None is for ever; up to 1,000 in the order in
        which the jobs ended, empty if time ran out. An ID is put there in the moment in which the
        outcome is stored, and is gone once it is taken: who dies with IDs in hand asks for their
        jobs' results again. A list is kept for a week after its last job ended.
        """
        check_name("reply_to", name)
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            job_ids = self._queue.replies(name, JOBS_PER_PUSH, min(left, self._max_block))
            if job_ids or left <= self._max_block:
                return job_ids

    def worker_models(self) -> dict[str, str | None]:
        """The fingerprint of the model that each worker of the queue serves, by the worker's name.

        As in a row's provenance; None for a model whose weights can't be read. A worker that is
        killed is named for two more of its leases.
        """
        return self._queue.worker_models()

    def num_queued(self, tenant: str | None = None) -> int:
        """How many jobs wait for a worker: of a tenant, or of those that are nobody's."""
        if tenant is not None:
            check_name("tenant", tenant)
        return self._queue.num_queued(tenant)


def _checked(job: GenerateJob | Mapping[str, Any], index: int) -> GenerateJob:
    if isinstance(job, GenerateJob):
        return job
    try:
        return GenerateJob.parse(job)
    except InvalidJobError as error:
        error.add_note(f"in the job at index {index}")
        raise


def _check_job_ids(job_ids: Sequence[str], num_jobs: int) -> None:
    for job_id in job_ids:
        check_job_id(job_id)
    if len(job_ids) != num_jobs:
        raise InvalidJobError("job_ids", f"{len(job_ids)} IDs", f"as many as the jobs, {num_jobs}")
    if len(set(job_ids)) != num_jobs:
        raise InvalidJobError("job_ids", "a list with an ID twice", "a list of different IDs")
