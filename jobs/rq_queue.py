"""RqQueue: one queue, laid out in the server as RQ does it. Only this file of `jobs` imports rq."""

import enum
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rq import Queue, Retry
from rq.job import Job
from rq.results import Result
from rq.utils import now, utcformat

from jobs.errors import (
    InvalidJobError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobsError,
    WireError,
)
from jobs.function import FUNCTION_NAME
from jobs.generate_job import GenerateJob
from jobs.job_info import INFO_FIELDS, JobInfo, read_info
from jobs.job_options import JobOptions
from jobs.job_status import DONE_IN_RQ, JobStatus
from jobs.model_card import ModelCard
from jobs.names import queue_of
from jobs.payload import read_job
from jobs.sampled_rows import SampledRows
from jobs.server_call import Operation, ScriptCall, Transaction, command, read_streams
from jobs.sighting import Sighting
from jobs.wire import MsgpackSerializer

_NO_SERVER: Any = object()
"""RQ's objects want a connection; of these, none may ask it for anything."""


class Pushed(enum.IntEnum):
    """What became of a job that was pushed."""

    STORED = 1
    TAKEN = 0
    """Its ID is another job's."""
    FULL = -1
    """There was no room left for it."""


class RqQueue:
    """The operations that push, cancel, delete and watch jobs."""

    def __init__(self, name: str, options: JobOptions) -> None:
        self._options = options
        self._name = name

    def push(self, jobs: Sequence[tuple[str, GenerateJob]]) -> Operation[dict[str, Pushed]]:
        """Stores and queues jobs, those of one tenant in one round trip and in their order.

        Raises InvalidJobError for one whose payload is too large.
        """
        answers: dict[str, Pushed] = {}
        for tenant in dict.fromkeys(job.tenant for _, job in jobs):
            name = queue_of(self._name, tenant)
            common = self._common_fields(name)
            job_ids: list[str] = []
            args: list[Any] = [name, self._options.max_queued or ""]
            for job_id, job in jobs:
                if job.tenant == tenant:
                    job_ids.append(job_id)
                    fields = common | self._own_fields(job_id, job)
                    deadline = "" if job.deadline_seconds is None else job.deadline_seconds
                    args += (job_id, fields["created_at"], deadline, 2 * len(fields))
                    args += (part for pair in fields.items() for part in pair)
            replies = yield ScriptCall("push", tuple(args))
            answers |= zip(job_ids, map(Pushed, replies), strict=True)
        return answers

    def _common_fields(self, name: str) -> dict[str, Any]:
        """What RQ's own enqueue would write for every job on a queue, but for what is the job's
        own; no doubt about the attempts."""
        retries = self._options.max_attempts - 1
        rq_job = Queue(name, connection=_NO_SERVER, serializer=MsgpackSerializer).create_job(
            FUNCTION_NAME,
            timeout=self._options.timeout,
            result_ttl=self._options.result_ttl,
            failure_ttl=self._options.failure_ttl,
            retry=Retry(max=retries) if retries else None,
        )
        # RQ leaves retries_left out for a job without retries, which means the worker's default.
        return {**rq_job.to_dict(), "retries_left": retries}

    def _own_fields(self, job_id: str, job: GenerateJob) -> dict[str, Any]:
        """What differs from job to job, with what workers know of it before they decode it."""
        given = job.fields()
        plain = MsgpackSerializer.dumps((FUNCTION_NAME, None, (), given))
        if len(plain) > self._options.max_payload_bytes:
            limit = f"at most {self._options.max_payload_bytes} bytes (max_payload_bytes)"
            raise InvalidJobError("payload", f"{len(plain)} bytes of job {job_id}", limit)
        created_at = utcformat(now())
        fields = {
            "data": zlib.compress(plain),
            "created_at": created_at,
            "enqueued_at": created_at,
            # RQ's own is the repr of all arguments: slow, and prompts in everybody's logs.
            "description": f"{FUNCTION_NAME}({len(job.prompt_tokens)} tokens x {job.num_samples})",
            "num_samples": job.num_samples,
        }
        told = ("reply_to", "priority", "webhook_url")
        return fields | {its: given[its] for its in told if its in given}

    def num_queued(self, tenant: str | None) -> Operation[int]:
        """How many jobs of a tenant wait for a worker."""
        key = Queue.redis_queue_namespace_prefix + queue_of(self._name, tenant)
        return int((yield command("LLEN", key)))

    def worker_models(self) -> Operation[dict[str, str | None]]:
        """What the workers of the queue serve, in one round trip."""
        workers = yield from self._workers()
        return {worker: model for worker, (model, _) in workers.items()}

    def worker_cards(self) -> Operation[dict[str, ModelCard]]:
        """What the workers of the queue can run; of an older worker, its model alone."""
        workers = yield from self._workers()
        return {
            worker: ModelCard(model=model) if card is None else ModelCard.from_json(card)
            for worker, (model, card) in workers.items()
        }

    def _workers(self) -> Operation[dict[str, tuple[str | None, bytes | None]]]:
        """The models and cards of those that live."""
        models = ("ZRANGE", f"rowmill:models:{self._name}", 0, -1, "WITHSCORES")
        (now, _), entries, cards = yield Transaction(
            (
                command("TIME"),
                command(*models, withscores=True),
                command("HGETALL", f"rowmill:cards:{self._name}"),
            )
        )
        pairs = [entry.decode().partition(":")[::2] for entry, end in entries if end > now]
        return {worker: (model or None, cards.get(worker.encode())) for worker, model in pairs}

    def status(self, job_id: str) -> Operation[JobStatus]:
        """Where the job stands; raises JobNotFoundError if there is none."""
        status = yield command("HGET", Job.key_for(job_id), "status")
        if status is None:
            raise JobNotFoundError(job_id)
        return JobStatus.of_rq(status.decode())

    def info(self, job_id: str) -> Operation[JobInfo]:
        """What the job's hash tells; raises JobNotFoundError if there is none."""
        values = yield command("HMGET", Job.key_for(job_id), *INFO_FIELDS)
        fields = {name: value or b"" for name, value in zip(INFO_FIELDS, values, strict=True)}
        if not fields["status"]:
            raise JobNotFoundError(job_id)
        return read_info(job_id, JobStatus.of_rq(fields["status"].decode()), fields)

    def job(self, job_id: str) -> Operation[GenerateJob]:
        """The job as it was pushed; raises JobNotFoundError, and WireError for one of others."""
        return self._job(job_id, (yield command("HGET", Job.key_for(job_id), "data")))

    def look_at(self, job_id: str) -> Operation[tuple[Sighting, GenerateJob]]:
        """How a job is now, and what it asks for, in one round trip.

        Raises why it will give no rows, where that is known.
        """
        key = Job.key_for(job_id)
        last = command("XREVRANGE", results_key(job_id), "+", "-", "COUNT", 1)
        (status, payload), last = yield Transaction((command("HMGET", key, "status", "data"), last))
        sighting = _sighting(job_id, status, last)
        if isinstance(sighting.outcome, JobsError):
            raise sighting.outcome
        return sighting, self._job(job_id, payload)

    def _job(self, job_id: str, payload: bytes | None) -> GenerateJob:
        if payload is None:
            raise JobNotFoundError(job_id)
        try:
            return read_job(payload, self._options.max_payload_bytes)
        except (InvalidJobError, WireError) as error:
            raise WireError(f"job {job_id} can't be read: {error}") from error

    def cancel(self, job_id: str) -> Operation[bool]:
        """Ends a job that is queued or running; False if it was done before.

        A running job's executions leave RQ's StartedJobRegistry, so what its worker still finishes
        does not count. Waiters see an entry of type STOPPED in the result stream.
        """
        ttl, time = self._options.failure_ttl, utcformat(now())
        answer = yield ScriptCall("cancel", (job_id, ttl, time, *DONE_IN_RQ))
        if answer == -1:
            raise JobNotFoundError(job_id)
        return bool(answer)

    def delete(self, job_ids: Sequence[str]) -> Operation[int]:
        """Deletes the jobs among these that are done, and returns how many were."""
        return int((yield ScriptCall("delete", (len(DONE_IN_RQ), *DONE_IN_RQ, *job_ids))))

    def replies(self, name: str, most: int, seconds: float) -> Operation[list[str]]:
        """Takes job IDs off a reply list; blocks for the first one, at most `seconds`."""
        key = f"rowmill:replies:{name}"
        first = yield command("BLPOP", key, max(seconds, 0.001))
        if first is None:
            return []
        more = (yield command("LPOP", key, most - 1)) if most > 1 else None
        return [job_id.decode() for job_id in (first[1], *(more or ()))]

    def look(self, job_ids: Iterable[str]) -> Operation[dict[str, Sighting]]:
        """How the jobs are now, in one round trip."""
        job_ids = list(job_ids)
        # In a transaction: a status from before the end of a job and a result from after it would
        # look like a job that failed and was requeued.
        answers = yield Transaction(
            tuple(
                its
                for job_id in job_ids
                for its in (
                    command("HGET", Job.key_for(job_id), "status"),
                    command("XREVRANGE", results_key(job_id), "+", "-", "COUNT", 1),
                )
            )
        )
        pairs = zip(job_ids, answers[::2], answers[1::2], strict=True)
        return {job_id: _sighting(job_id, status, last) for job_id, status, last in pairs}

    def wait(
        self, newest_entries: Mapping[str, str], seconds: float
    ) -> Operation[dict[str, Sighting]]:
        """Blocks until a result stream has an entry newer than given, at most `seconds`.

        Returns the jobs that have news, none if time ran out.
        """
        job_ids = {results_key(job_id): job_id for job_id in newest_entries}
        streams = dict(zip(job_ids, newest_entries.values(), strict=True))
        news = yield from read_streams(streams, seconds)
        return (yield from self.see({job_ids[key]: entries for key, entries in news.items()}))

    def see(self, news: Mapping[str, list[Any]]) -> Operation[dict[str, Sighting]]:
        """What new entries of result streams say of their jobs."""
        seen = {job_id: _sighting(job_id, None, entries[-1:]) for job_id, entries in news.items()}
        # Only rows speak for themselves; what another entry means depends on the job's status.
        unclear = [job_id for job_id in seen if not isinstance(seen[job_id].outcome, SampledRows)]
        return seen | ((yield from self.look(unclear)) if unclear else {})


def results_key(job_id: str) -> str:
    """The stream in which RQ keeps a job's results."""
    return str(Result.get_key(job_id))  # type: ignore[no-untyped-call]


def _sighting(job_id: str, status: bytes | None, last: list[Any]) -> Sighting:
    if not last:
        return Sighting("0-0", _outcome(job_id, status, None))
    entry_id, payload = last[0][0].decode(), last[0][1]
    try:
        result = Result.restore(job_id, entry_id, payload, _NO_SERVER, serializer=MsgpackSerializer)
    except WireError as error:
        return Sighting(entry_id, error)
    except Exception as error:  # base64, zlib, a missing type: somebody else's entry
        return Sighting(entry_id, WireError(f"the result of job {job_id} is broken: {error}"))
    return Sighting(entry_id, _outcome(job_id, status, result))


def _outcome(
    job_id: str, raw_status: bytes | None, result: Result | None
) -> SampledRows | JobsError | None:
    if result and result.type is Result.Type.SUCCESSFUL:
        if isinstance(result.return_value, SampledRows):
            return result.return_value
        return WireError(f"the result of job {job_id} is not rows")
    if raw_status is None:
        return JobNotFoundError(job_id)
    match JobStatus.of_rq(raw_status.decode()):
        case JobStatus.FINISHED:
            return JobNotFoundError(job_id, "its result has expired")
        case JobStatus.CANCELLED:
            return JobCancelledError(job_id)
        case JobStatus.FAILED:
            reason = result.exc_string if result else None
            return JobFailedError(job_id, reason or "the worker gave no reason")
        case _:  # queued or running, perhaps again after a failure that somebody requeued
            return None
