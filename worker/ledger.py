"""Who runs which job: claims, leases and outcomes, kept in the server as RQ lays them out.

Each operation is one Lua script for many jobs, so it happens as a whole or not at all, and a job's
outcome is fenced: it counts only while the execution that brings it still holds the job.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import redis

from jobs.connection import with_timeout
from jobs.errors import InvalidJobError
from worker.claim import Claim, Outcome
from worker.follow_ups import FollowUps
from worker.scripts import now_text, reason_field, script

_MOST_BYTES = 8 * 2**20
"""Of outcomes in one call: while it stores them the server serves nobody else."""
_CLAIM_SECONDS = 1.0
_BAD_ID = InvalidJobError("job_id", "this ID", "letters, digits, '_' and '-'")
_BROKEN = InvalidJobError("job", "what stands under its keys in the server", "as RQ lays it out")
_CALLBACKS = ("success_callback", "failure_callback", "stopped_callback")

TOO_LATE = "deadline_seconds: the deadline passed before the job could run"


class Ledger:
    """The jobs of some queues, from the side of one worker. Thread-safe but for `claim`.

    Every method raises redis.RedisError where the server can't be reached or refuses. Each may be
    called again then: none takes effect twice.
    """

    def __init__(
        self,
        connection: redis.Redis,
        queues: Sequence[str],
        worker: str,
        follow_ups: FollowUps,
        *,
        lease: float,
        worker_ttl: int,
        result_ttl: int,
        failure_ttl: int,
        max_attempts: int,
        max_payload_bytes: int,
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._worker = worker
        self._lease = lease
        self._worker_ttl = worker_ttl
        self._result_ttl = result_ttl
        self._failure_ttl = failure_ttl
        self._max_attempts = max_attempts
        self._max_payload_bytes = max_payload_bytes
        self._follow_ups = follow_ups
        self._lost_claims: list[str] = []
        """The prefixes of claims that may have been made, and whose answer did not arrive."""
        self.is_blocked = False
        """Whether at the last claim a job waited for this worker to run nothing."""
        self.is_empty = False
        """Whether the last claim found the queues empty."""
        # The engine waits for claims. It goes on with what it has where the server does not answer.
        self._claim = script(with_timeout(connection, _CLAIM_SECONDS), "claim")
        self._heartbeat, self._finish, self._give_back = (
            script(connection, name) for name in ("heartbeat", "finish", "give_back")
        )
        too_large = InvalidJobError(
            "payload",
            "a size beyond the limit",
            f"at most {max_payload_bytes} bytes, which --max-payload-bytes sets",
        )
        self._refusals = [
            *(reason_field(f"InvalidJobError: {it}") for it in (_BAD_ID, too_large)),
            reason_field(TOO_LATE),
            reason_field(f"InvalidJobError: {_BROKEN}"),
        ]

    def ping(self) -> bool:
        """Whether the server is there."""
        return bool(self._connection.ping())

    def claim(self, num_rows: int, *, is_idle: bool) -> list[Claim]:
        """Take jobs until their rows come to `num_rows`, in one round trip.

        Jobs come in the order of the queues, and of the turns of a queue's tenants. One that an
        earlier attempt makes suspect of taking workers down comes alone, and only to a worker that
        runs nothing (`is_idle`); until then it stays, and what is behind it, too.
        """
        prefix = uuid.uuid4().hex
        lost_claims = ",".join(self._lost_claims)
        self._lost_claims.append(prefix)
        is_alone, is_blocked, is_empty, replies = self._claim(
            self._worker,
            prefix,
            num_rows,
            self._lease,
            now_text(),
            self._worker_ttl,
            self._max_attempts,
            self._failure_ttl,
            self._max_payload_bytes,
            int(is_idle),
            lost_claims,
            *self._refusals,
            *self._queues,
        )
        self._lost_claims.clear()
        self.is_blocked, self.is_empty = bool(is_blocked), bool(is_empty)
        return [_claim_of(reply, bool(is_alone)) for reply in replies]

    def heartbeat(self, claims: Sequence[Claim]) -> set[str]:
        """Extend the leases; returns the execution IDs that no longer hold their job."""
        lost = self._heartbeat(self._lease, now_text(), *_flat(claims))
        return {execution_id.decode() for execution_id in lost}

    def expire(self, claims: Sequence[Claim]) -> None:
        """End the leases now: the attempt counts as one in which the worker died."""
        self._heartbeat(-1, now_text(), *_flat(claims))

    def give_back(self, claims: Sequence[Claim]) -> int:
        """Requeue claims at the head of their queues, uncounted; returns how many were held."""
        return int(self._give_back(self._worker, now_text(), *_flat(claims)))

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool | str]:
        """Store outcomes; tells of each whether it counts, or why the server did not take it."""
        answers: list[bool | str] = []
        for part in _parts(outcomes):
            args = [self._worker, now_text(), self._result_ttl, self._failure_ttl]
            replies = self._finish(*args, *(item for fields in part for item in fields))
            for (queue, job_id, *_), reply in zip(part, replies, strict=True):
                answers.append(reply.decode() if isinstance(reply, bytes) else bool(reply))
                if reply == 2:
                    self._follow_ups.submit(queue, job_id)
        return answers


def _flat(claims: Iterable[Claim]) -> Iterator[str]:
    for claim in claims:
        yield from (claim.queue, claim.job_id, claim.execution_id)


def _parts(outcomes: Iterable[Outcome]) -> Iterator[list[tuple[Any, ...]]]:
    """The outcomes as arguments of the script, in parts of bounded size."""
    part: list[tuple[Any, ...]] = []
    num_bytes = 0
    for outcome in outcomes:
        value = outcome.value
        field = b64encode(value) if isinstance(value, bytes) else reason_field(value)
        if part and num_bytes + len(field) > _MOST_BYTES:
            yield part
            part, num_bytes = [], 0
        claim = outcome.claim
        place = (claim.queue, claim.job_id, claim.execution_id, claim.claimed_at)
        done_at = f"{claim.server_time(outcome.done_at):.6f}"
        part.append((*place, done_at, outcome.status, field))
        num_bytes += len(field)
    if part:
        yield part


def _claim_of(reply: list[Any], is_alone: bool) -> Claim:
    queue, job_id, execution_id, claimed_at, *rest = reply
    payload, timeout, deadline, created_at, num_samples, *lengths, attempt = rest
    reply_to, webhook_url, *callbacks = lengths
    return Claim(
        queue=queue.decode(),
        job_id=job_id.decode(),
        execution_id=execution_id.decode(),
        payload=payload or b"",
        timeout=_positive(timeout),
        deadline=_positive(deadline),
        created_at=unix_time(created_at),
        claimed_at=float(claimed_at),
        is_alone=is_alone,
        num_samples=_positive(num_samples),
        has_reply_list=bool(reply_to),
        has_webhook=bool(webhook_url),
        callbacks=tuple(its for its, value in zip(_CALLBACKS, callbacks, strict=True) if value),
        attempt=int(attempt),
    )


def _positive(number: bytes | None) -> float | None:
    """What is missing, not above zero, or no number means that there is no limit."""
    try:
        value = float(number or 0)
    except ValueError:
        return None
    return value if value > 0 else None


def unix_time(text: bytes | None) -> float | None:
    """Of a time as RQ writes it."""
    try:
        return datetime.fromisoformat((text or b"").decode()).timestamp()
    except (ValueError, OverflowError):
        return None
