"""Client: how a service pushes jobs and reads rows back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis

from jobs.connection import check_connection, longest_block, open_connection
from jobs.errors import InvalidJobError, JobExistsError, JobsError
from jobs.generate_job import GenerateJob
from jobs.job_options import JobOptions
from jobs.job_status import JobStatus
from jobs.names import check_job_id, check_queue_name
from jobs.rq_queue import RqQueue
from jobs.sampled_rows import SampledRows
from jobs.waiting import wait_for

JOBS_PER_PUSH = 1000
"""How many jobs go to the server in one round trip."""


class Client:
    """Pushes jobs to one queue and reads their rows.

    `url_or_connection`: a redis://, rediss:// or unix:// URL, or a `redis.Redis` that leaves
    responses as bytes. `timeout`, `result_ttl` and `failure_ttl` are whole seconds; see JobOptions.
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
    ) -> None:
        check_queue_name(queue)
        options = JobOptions(
            timeout=timeout,
            result_ttl=result_ttl,
            failure_ttl=failure_ttl,
            max_attempts=max_attempts,
        )
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
        existed: so a batch with IDs of the caller's can be pushed again after a failure.
        """
        checked = [_checked(job, index) for index, job in enumerate(jobs)]
        if job_ids is None:
            job_ids = [uuid4().hex for _ in checked]
        else:
            _check_job_ids(job_ids, len(checked))
        taken: list[str] = []
        for start in range(0, len(checked), JOBS_PER_PUSH):
            chunk = slice(start, start + JOBS_PER_PUSH)
            taken += self._queue.push(zip(job_ids[chunk], checked[chunk], strict=True))
        if taken:
            raise JobExistsError(tuple(taken))
        return list(job_ids)

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
