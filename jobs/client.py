"""Client: how a service pushes jobs and reads rows back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import redis

from jobs.blocking_server import BlockingServer
from jobs.client_options import ClientOptions
from jobs.connection import check_connection, longest_block, open_connection
from jobs.errors import JobsError
from jobs.generate_job import GenerateJob
from jobs.job_info import JobInfo
from jobs.job_life import JobLife
from jobs.job_status import JobStatus
from jobs.model_card import ModelCard
from jobs.operations import Operations
from jobs.overview import Overview
from jobs.row_delta import RowDelta
from jobs.sampled_rows import SampledRows


class Client:
    """Pushes jobs to one queue and reads their rows.

    `url_or_connection`: a redis://, rediss:// or unix:// URL, or a `redis.Redis` that leaves
    responses as bytes. `options` are those of ClientOptions.
    The constructor sends nothing. Any method raises ServerUnavailableError within seconds if the
    server does not answer (`wait_when_away` makes those that wait for rows patient), and
    InvalidJobError for a bad argument before anything is sent. A client may be shared by threads.
    """

    def __init__(
        self,
        url_or_connection: str | redis.Redis,
        queue: str = "rowmill",
        **options: Unpack[ClientOptions],
    ) -> None:
        self._owns_connection = isinstance(url_or_connection, str)
        self._connection = check_connection(
            open_connection(url_or_connection)
            if isinstance(url_or_connection, str)
            else url_or_connection,
            redis.Redis,
        )
        self._operations = Operations(queue, longest_block(self._connection), **options)
        self._server = BlockingServer(self._connection)

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
        return self._server.run(self._operations.submit(job, job_id, fields))

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
        return self._server.run(self._operations.submit_many(jobs, job_ids))

    def result(self, job_id: str, timeout: float | None = None) -> SampledRows:
        """Waits until the job is done and returns its rows.

        Waits at most `timeout` seconds: None is for ever, 0 looks once. Raises ResultTimeoutError,
        JobFailedError, JobCancelledError, JobNotFoundError (no such job, or its result has
        expired), or WireError if the result is not Rowmill's.
        """
        return self._server.run(self._operations.result(job_id, timeout))

    def results(
        self, job_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, SampledRows | JobsError]]:
        """Waits for many jobs; yields each ID once with its rows, or the error for having none.

        In order of completion, among the first 500 that are not done. After `timeout` seconds in
        all, the jobs that are left come with a ResultTimeoutError. The errors are those of
        `result`; a server that does not answer is raised.
        """
        return self._server.iterate(self._operations.results(job_ids, timeout))

    def stream(self, job_id: str, timeout: float | None = None) -> Iterator[RowDelta]:
        """Yields what the job's rows say while they are sampled: each token once, in order.

        Tokens come as they are made where the job was pushed with `stream=True`, and otherwise all
        at its end; then and later they can be read again. It is over when every row's
        `finish_reason` was told. Raises what `result` does, and StreamDivergedError.
        """
        return self._server.iterate(self._operations.stream(job_id, timeout))

    def job(self, job_id: str) -> GenerateJob:
        """The job as it was pushed, to whichever queue.

        Raises JobNotFoundError if there is no such job, and WireError for what is not Rowmill's.
        """
        return self._server.run(self._operations.job(job_id))

    def info(self, job_id: str) -> JobInfo:
        """Where the job stands, whose it is and how long it took; see JobInfo.

        Raises JobNotFoundError if there is no such job.
        """
        return self._server.run(self._operations.info(job_id))

    def life(self, job_id: str) -> JobLife:
        """What became of the job and when: who ran it, each attempt, each phase; see JobLife.

        Raises JobNotFoundError if there is no such job.
        """
        return self._server.run(self._operations.life(job_id))

    def status(self, job_id: str) -> JobStatus:
        """Where the job stands; raises JobNotFoundError if there is no such job."""
        return self._server.run(self._operations.status(job_id))

    def cancel(self, job_id: str) -> bool:
        """Cancels a job: it leaves the queue, or its worker gives it up.

        Whoever waits for its result gets JobCancelledError at once. Returns False if it was
        finished, failed or cancelled before; raises JobNotFoundError if there is no such job.
        """
        return self._server.run(self._operations.cancel(job_id))

    def delete(self, job_ids: Iterable[str]) -> int:
        """Deletes jobs that are done, with their rows, and returns how many.

        Jobs that are queued or running, and IDs that no job has, are left alone.
        """
        return self._server.run(self._operations.delete(job_ids))

    def replies(self, name: str, timeout: float | None = None) -> list[str]:
        """Takes the IDs of jobs that have ended off the reply list that they named (`reply_to`).

        Waits at most `timeout` seconds for the first, None is for ever; up to 1,000 in the order in
        which the jobs ended, empty if time ran out. An ID is put there in the moment in which the
        outcome is stored, and is gone once it is taken: who dies with IDs in hand asks for their
        jobs' results again. A list is kept for a week after its last job ended.
        """
        return self._server.run(self._operations.replies(name, timeout))

    def overview(self, *, everywhere: bool = False, tenant: str | None = None) -> Overview:
        """Queues, workers and recent failures: of the client's queue and its tenants, of one
        tenant's share of it, or `everywhere`, of all on the server.

        It needs a login that may read workers' records: docs/security.md.
        """
        return self._server.run(self._operations.overview(everywhere, tenant))

    def worker_models(self) -> dict[str, str | None]:
        """The fingerprint of the model that each worker of the queue serves, by the worker's name.

        As in a row's provenance; None for a model whose weights can't be read. A worker that is
        killed is named for two more of its leases.
        """
        return self._server.run(self._operations.worker_models())

    def worker_cards(self) -> dict[str, ModelCard]:
        """What each worker of the queue can run, by the worker's name; for as long as
        `worker_models` names it."""
        return self._server.run(self._operations.worker_cards())

    def num_queued(self, tenant: str | None = None) -> int:
        """How many jobs wait for a worker: of a tenant, or of those that are nobody's."""
        return self._server.run(self._operations.num_queued(tenant))
