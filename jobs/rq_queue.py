"""RqQueue: one queue, laid out in the server as RQ does it. Only this file of `jobs` imports rq."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from rq import Queue, Retry
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.job import JobStatus as RqStatus
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.utils import as_text, now

from jobs.connection import address_of, server_errors
from jobs.errors import JobCancelledError, JobFailedError, JobNotFoundError, JobsError, WireError
from jobs.function import FUNCTION_NAME
from jobs.generate_job import GenerateJob
from jobs.job_options import JobOptions
from jobs.job_status import JobStatus
from jobs.sampled_rows import SampledRows
from jobs.scripts import CANCEL, PUSH
from jobs.sighting import Sighting
from jobs.wire import MsgpackSerializer

_STATUSES: dict[str, JobStatus] = {
    RqStatus.STARTED.value: JobStatus.RUNNING,
    RqStatus.FINISHED.value: JobStatus.FINISHED,
    RqStatus.FAILED.value: JobStatus.FAILED,
    RqStatus.STOPPED.value: JobStatus.CANCELLED,
    RqStatus.CANCELED.value: JobStatus.CANCELLED,
}  # all others are on their way to a worker: queued
_DONE = [name for name, status in _STATUSES.items() if status is not JobStatus.RUNNING]


class RqQueue:
    """Pushes, cancels and watches jobs.

    A server that cannot be reached raises ServerUnavailableError from every method.
    """

    def __init__(self, name: str, connection: redis.Redis, options: JobOptions) -> None:
        self._connection = connection
        self._options = options
        self._address = address_of(connection)
        self._queue = Queue(name, connection=connection, serializer=MsgpackSerializer)
        self._push = connection.register_script(PUSH)
        self._cancel = connection.register_script(CANCEL)

    def push(self, jobs: Iterable[tuple[str, GenerateJob]]) -> list[str]:
        """Stores and queues jobs in one round trip; returns the IDs that were taken already."""
        job_ids = []
        with server_errors(self._address), self._connection.pipeline(transaction=False) as pipe:
            for job_id, job in jobs:
                job_ids.append(job_id)
                self._push_one(job_id, job, pipe)
            was_stored = pipe.execute()
        return [job_id for job_id, stored in zip(job_ids, was_stored, strict=True) if not stored]

    def _push_one(self, job_id: str, job: GenerateJob, pipe: Any) -> None:
        fields = _hash_fields(job_id, job, self._queue, self._options)
        keys = [Job.key_for(job_id), self._queue.key, Queue.redis_queues_keys]
        keys.append(_results_key(job_id))
        flat = [part for pair in fields.items() for part in pair]
        self._push(keys, [job_id, self._queue.key, fields["created_at"], *flat], client=pipe)

    def status(self, job_id: str) -> JobStatus:
        """Where the job stands; raises JobNotFoundError if there is none."""
        with server_errors(self._address):
            status: Any = self._connection.hget(Job.key_for(job_id), "status")
        if status is None:
            raise JobNotFoundError(job_id)
        return _our_status(status)

    def cancel(self, job_id: str) -> bool:
        """Ends a job that is queued or running; False if it was done before.

        A running job's executions leave RQ's StartedJobRegistry, so what its worker still finishes
        does not count. Waiters see an entry of type STOPPED in the result stream.
        """
        with server_errors(self._address):
            origin: Any = self._connection.hget(Job.key_for(job_id), "origin")
            keys: list[Any] = _keys_to_cancel(job_id, as_text(origin or b""))
            args: list[Any] = [job_id, int(time.time()), self._options.failure_ttl]
            args += [RqStatus.CANCELED.value, Result.Type.STOPPED.value, *_DONE]
            answer = self._cancel(keys, args)
        if answer == -1:
            raise JobNotFoundError(job_id)
        return bool(answer)

    def look(self, job_ids: Iterable[str]) -> dict[str, Sighting]:
        """How the jobs are now, in one round trip."""
        job_ids = list(job_ids)
        # In a transaction: a status from before the end of a job and a result from after it would
        # look like a job that failed and was requeued.
        with server_errors(self._address), self._connection.pipeline() as pipe:
            for job_id in job_ids:
                pipe.hget(Job.key_for(job_id), "status")
                pipe.xrevrange(_results_key(job_id), count=1)
            answers = pipe.execute()
        pairs = zip(job_ids, answers[::2], answers[1::2], strict=True)
        return {job_id: self._sighting(job_id, status, last) for job_id, status, last in pairs}

    def wait(self, newest_entries: Mapping[str, str], seconds: float) -> dict[str, Sighting]:
        """Blocks until a result stream has an entry newer than given, at most `seconds`.

        Returns the jobs that have news, none if time ran out.
        """
        job_ids = {_results_key(job_id).encode(): job_id for job_id in newest_entries}
        streams: dict[Any, Any] = dict(zip(job_ids, newest_entries.values(), strict=True))
        with server_errors(self._address):
            # Never 0 milliseconds: that means for ever.
            news: Any = self._connection.xread(streams, block=max(1, int(seconds * 1000)))
        entries = {job_ids[key]: new[-1:] for key, new in dict(news or {}).items()}
        seen = {job_id: self._sighting(job_id, None, last) for job_id, last in entries.items()}
        # Only rows speak for themselves; what another entry means depends on the job's status.
        unclear = [job_id for job_id in seen if not isinstance(seen[job_id].outcome, SampledRows)]
        return seen | (self.look(unclear) if unclear else {})

    def _sighting(self, job_id: str, status: bytes | None, last: list[Any]) -> Sighting:
        if not last:
            return Sighting("0-0", _outcome(job_id, status, None))
        entry_id, payload = last[0][0].decode(), last[0][1]
        try:
            result = Result.restore(
                job_id, entry_id, payload, self._connection, serializer=MsgpackSerializer
            )
        except WireError as error:
            return Sighting(entry_id, error)
        except Exception as error:  # base64, zlib, a missing type: somebody else's entry
            return Sighting(entry_id, WireError(f"the result of job {job_id} is broken: {error}"))
        return Sighting(entry_id, _outcome(job_id, status, result))


def _hash_fields(
    job_id: str, job: GenerateJob, queue: Queue, options: JobOptions
) -> dict[str, Any]:
    """What RQ's own enqueue would write; `num_samples`, by which workers count rows; no doubt about
    the attempts."""
    retries = options.max_attempts - 1
    rq_job = queue.create_job(
        FUNCTION_NAME,
        kwargs=job.fields(),
        timeout=options.timeout,
        result_ttl=options.result_ttl,
        failure_ttl=options.failure_ttl,
        # RQ's own description is the repr of all arguments: slow, and prompts in everybody's logs.
        description=f"{FUNCTION_NAME}({len(job.prompt_tokens)} tokens x {job.num_samples})",
        job_id=job_id,
        retry=Retry(max=retries) if retries else None,
    )
    rq_job.enqueued_at = now()
    # RQ leaves retries_left out for a job without retries, which means the worker's default.
    return {**rq_job.to_dict(), "retries_left": retries, "num_samples": job.num_samples}


def _keys_to_cancel(job_id: str, queue_name: str) -> list[str]:
    # In the order of scripts.CANCEL; the last two hold jobs that plain RQ put off for later.
    return [
        Job.key_for(job_id),
        Queue.redis_queue_namespace_prefix + queue_name,
        _results_key(job_id),
        CanceledJobRegistry.key_template.format(queue_name),
        StartedJobRegistry.key_template.format(queue_name),
        ExecutionRegistry.key_template.format(job_id),
        DeferredJobRegistry.key_template.format(queue_name),
        ScheduledJobRegistry.key_template.format(queue_name),
    ]


def _results_key(job_id: str) -> str:
    return str(Result.get_key(job_id))  # type: ignore[no-untyped-call]


def _our_status(status: bytes) -> JobStatus:
    return _STATUSES.get(status.decode(), JobStatus.QUEUED)


def _outcome(
    job_id: str, raw_status: bytes | None, result: Result | None
) -> SampledRows | JobsError | None:
    if result and result.type is Result.Type.SUCCESSFUL:
        if isinstance(result.return_value, SampledRows):
            return result.return_value
        return WireError(f"the result of job {job_id} is not rows")
    if raw_status is None:
        return JobNotFoundError(job_id)
    match _our_status(raw_status):
        case JobStatus.FINISHED:
            return JobNotFoundError(job_id, "its result has expired")
        case JobStatus.CANCELLED:
            return JobCancelledError(job_id)
        case JobStatus.FAILED:
            reason = result.exc_string if result else None
            return JobFailedError(job_id, reason or "the worker gave no reason")
        case _:  # queued or running, perhaps again after a failure that somebody requeued
            return None
