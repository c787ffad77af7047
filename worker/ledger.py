"""Who runs which job: claims, leases and outcomes, kept in the server as RQ lays them out.

Each operation is one Lua script, so it happens as a whole or not at all, and a job's outcome is
fenced: it counts only while the execution that brings it still holds the job's lease.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any, Literal

import redis
from rq import Queue, worker_registration
from rq.job import Job
from rq.rate_limit import release_slot
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.utils import now, utcformat

from jobs.errors import InvalidJobError
from jobs.wire import MsgpackSerializer

Status = Literal["finished", "failed", "stopped"]

_RECOVER_AT_ONCE = 100
_ABANDONED = "Abandoned: its worker died or was cut off, and no attempt is left."
_BAD_ID = InvalidJobError("job_id", "this ID", "letters, digits, '_' and '-'")

log = logging.getLogger("rowmill.ledger")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this worker holds, as it stood in the queue."""

    job_id: str
    execution_id: str
    payload: bytes
    """RQ's `data` field, as it is."""
    timeout: float | None
    """Seconds that the job may run; None: for ever."""
    extras: tuple[str, ...]
    """Names of what it carries that Rowmill does not run: callbacks, repeats."""
    claimed_at: float
    """Unix time by the server's clock."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a claim; `value` is the wire form of the rows, or a reason as text."""

    claim: Claim
    status: Status
    value: bytes | str


class Ledger:
    """One queue's jobs, from the side of one worker. Thread-safe.

    Every method raises redis.RedisError where the server can't be reached or refuses.
    """

    def __init__(
        self,
        connection: redis.Redis,
        queue: str,
        worker: str,
        *,
        lease: float,
        worker_ttl: int,
        result_ttl: int,
        failure_ttl: int,
        max_attempts: int,
    ) -> None:
        self._connection = connection
        self._queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
        self._worker = worker
        self._lease = lease
        self._worker_ttl = worker_ttl
        self._result_ttl = result_ttl
        self._failure_ttl = failure_ttl
        self._max_attempts = max_attempts
        # A thread of their own: a webhook may take seconds, and neither leases nor outcomes wait.
        self._follow_ups = ThreadPoolExecutor(max_workers=1, thread_name_prefix="follow-up")
        self._wip = StartedJobRegistry.key_template.format(queue)
        self._finished = FinishedJobRegistry.key_template.format(queue)
        self._failed = FailedJobRegistry.key_template.format(queue)
        prelude = _lua("prelude")
        self._claim, self._heartbeat, self._finish, self._give_back, self._recover = (
            connection.register_script(prelude + _lua(name))
            for name in ("claim", "heartbeat", "finish", "give_back", "recover")
        )

    def tidy(self) -> None:
        """Drop expired entries from the registries, and records of workers that are gone."""
        for registry in (FinishedJobRegistry, FailedJobRegistry):
            registry(queue=self._queue).cleanup()
        worker_registration.clean_worker_registry(self._queue)

    def wait(self, seconds: float) -> None:
        """Block until the queue has a job, at most `seconds`."""
        # Moving the head onto itself changes nothing, and BLMOVE waits for there to be one.
        self._connection.blmove(self._queue.key, self._queue.key, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]

    def claim(self, num_rows: int) -> list[Claim]:
        """Take jobs until their rows come to `num_rows`, in one round trip."""
        keys = [self._queue.key, self._wip, self._failed]
        args: list[Any] = [self._worker, uuid.uuid4().hex, num_rows, self._lease, _now_text()]
        args += [self._worker_ttl, self._max_attempts, self._failure_ttl]
        args.append(_compressed(f"{type(_BAD_ID).__name__}: {_BAD_ID}"))
        replies: Any = self._claim(keys, args)
        return [_claim_of(reply) for reply in replies]

    def heartbeat(self, claims: Sequence[Claim]) -> set[str]:
        """Extend the leases; returns the execution IDs that no longer hold their job."""
        args: list[Any] = [self._lease, _now_text()]
        for claim in claims:
            args += (claim.job_id, claim.execution_id)
        lost: Any = self._heartbeat([self._wip], args)
        return {execution_id.decode() for execution_id in lost}

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool | redis.ResponseError]:
        """Store outcomes in one round trip; tells of each whether it took effect, or its refusal.

        Repeating it does no harm: an outcome that is stored already does not take effect again.
        """
        with self._connection.pipeline(transaction=False) as pipe:
            for outcome in outcomes:
                self._finish(*self._finish_arguments(outcome), client=pipe)
            replies = pipe.execute(raise_on_error=False)
        answers: list[bool | redis.ResponseError] = []
        for outcome, reply in zip(outcomes, replies, strict=True):
            if isinstance(reply, redis.ResponseError) and _is_refusal(reply):
                answers.append(reply)
                continue
            if isinstance(reply, Exception):
                raise reply
            took_effect, has_more = reply
            answers.append(bool(took_effect))
            if took_effect and has_more:
                reason = outcome.value if isinstance(outcome.value, str) else None
                self._follow_ups.submit(
                    self._follow_up, outcome.claim.job_id, outcome.status, reason
                )
        return answers

    def give_back(self, claims: Iterable[Claim]) -> int:
        """Requeue claims at the head of the queue, uncounted; returns how many were still held."""
        with self._connection.pipeline(transaction=False) as pipe:
            for claim in reversed(list(claims)):  # each goes before the last: their order stays
                args = [self._worker, claim.job_id, claim.execution_id, _now_text()]
                self._give_back([self._queue.key, self._wip], args, client=pipe)
            return sum(pipe.execute())

    def expire(self, claims: Iterable[Claim]) -> None:
        """End the leases now: the attempt counts as one in which the worker died."""
        scores: Any = {  # in their order, which recovery keeps
            f"{claim.job_id}:{claim.execution_id}": n for n, claim in enumerate(claims)
        }
        if scores:
            self._connection.zadd(self._wip, scores, xx=True)

    def recover(self) -> tuple[list[str], list[str]]:
        """Requeue or fail the jobs whose lease has ended; returns both kinds' job IDs."""
        requeued, failed = self._recover_some()
        if len(requeued) + len(failed) == _RECOVER_AT_ONCE:  # there may be more
            more_requeued, more_failed = self.recover()
            return requeued + more_requeued, failed + more_failed
        return requeued, failed

    def _recover_some(self) -> tuple[list[str], list[str]]:
        keys = [self._queue.key, self._wip, self._failed]
        args: list[Any] = [
            _now_text(),
            _RECOVER_AT_ONCE,
            self._failure_ttl,
            _compressed(_ABANDONED),
            self._max_attempts,
        ]
        reply: Any = self._recover(keys, args)
        requeued, failed = ([job_id.decode() for job_id in job_ids] for job_ids in reply)
        for job_id in failed:
            self._follow_ups.submit(self._follow_up, job_id, "failed", _ABANDONED)
        return requeued, failed

    def _finish_arguments(self, outcome: Outcome) -> tuple[list[str], list[Any]]:
        claim = outcome.claim
        is_success = outcome.status == "finished"
        if isinstance(outcome.value, bytes):
            result = [Result.Type.SUCCESSFUL.value, "return_value", b64encode(outcome.value)]
        else:
            kind = Result.Type.STOPPED if outcome.status == "stopped" else Result.Type.FAILED
            result = [kind.value, "exc_string", _compressed(outcome.value)]
        ttl = self._result_ttl if is_success else self._failure_ttl
        return [self._wip, self._finished if is_success else self._failed], [
            self._worker,
            claim.job_id,
            claim.execution_id,
            outcome.status,
            *result,
            _now_text(),
            "result_ttl" if is_success else "failure_ttl",
            ttl,
            claim.claimed_at,
        ]

    def _follow_up(self, job_id: str, status: Status, reason: str | None) -> None:
        """What RQ does after a job, done by RQ: dependents, rate limits, webhooks.

        Nothing is raised: the outcome stands, whatever becomes of what hangs on it.
        """
        try:
            job = Job.fetch(job_id, self._connection, MsgpackSerializer)
        except Exception:
            log.exception("job %s is %s, but what follows it could not be read", job_id, status)
            return
        steps: list[Callable[[], object]] = [
            lambda: release_slot(job),
            lambda: self._queue.enqueue_dependents(job),
        ]
        if status != "stopped":
            steps.append(lambda: job.send_webhooks(status, exc_string=reason))
        for step in steps:
            try:
                step()
            except Exception:
                log.exception("job %s is %s, but something after it failed", job_id, status)


def _claim_of(reply: list[Any]) -> Claim:
    job_id, execution_id, claimed_at, payload, timeout, *extras = reply
    names = ("success_callback", "failure_callback", "stopped_callback", "repeat")
    return Claim(
        job_id=job_id.decode(),
        execution_id=execution_id.decode(),
        payload=payload or b"",
        timeout=_seconds(timeout),
        extras=tuple(name for name, value in zip(names, extras, strict=True) if value),
        claimed_at=float(claimed_at),
    )


def _is_refusal(error: redis.ResponseError) -> bool:
    """Whether the server would refuse this ever again.

    Codes such as OOM, MISCONF, NOREPLICAS or READONLY tell of a server that may recover.
    """
    code = str(error).split(" ", 1)[0]
    return type(error) is redis.ResponseError and (code == "WRONGTYPE" or not code.isupper())


def _seconds(timeout: bytes | None) -> float | None:
    """RQ's timeout; what is missing, negative or no number means for ever."""
    try:
        seconds = float(timeout or 0)
    except ValueError:
        return None
    return seconds if seconds > 0 else None


def _lua(name: str) -> str:
    return (files("worker") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def _now_text() -> str:
    return str(utcformat(now()))


def _compressed(text: str) -> str:
    """A reason as RQ stores it."""
    return b64encode(zlib.compress(text.encode())).decode()
