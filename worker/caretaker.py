"""Sees to the queues: what dead workers left, what is due, and what has expired."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import redis
from rq import Queue, worker_registration
from rq.rate_limit import RateLimitRegistry
from rq.registry import FailedJobRegistry, FinishedJobRegistry

from jobs.errors import brief
from jobs.names import is_name, queue_of
from jobs.wire import MsgpackSerializer
from worker.follow_ups import FollowUps
from worker.ledger import TOO_LATE
from worker.metrics.meter import Meter
from worker.refusal import is_for_ever
from worker.scripts import now_text, reason_field, script

_AT_ONCE = 100
_TIDY_SECONDS = 60.0
_ABANDONED = (
    "Abandoned: its worker died or was cut off in every attempt, and no attempt is left "
    "(max_attempts)."
)

log = logging.getLogger("rowmill.caretaker")


class Caretaker:
    """One worker at a time does this for a queue; see `recover.lua`.

    Every method raises redis.RedisError where the server can't be reached or refuses.
    """

    def __init__(
        self,
        connection: redis.Redis,
        queues: Sequence[str],
        worker: str,
        follow_ups: FollowUps,
        *,
        interval: float,
        failure_ttl: int,
        max_attempts: int,
        meter: Meter | None = None,
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._worker = worker
        self._follow_ups = follow_ups
        self._interval = interval
        self._failure_ttl = failure_ttl
        self._max_attempts = max_attempts
        self._meter = meter or Meter()
        self._recover = script(connection, "recover")
        self._next_tidy = 0.0
        self._was_cut_off = False

    def see_to(self) -> None:
        """Look after the queues, and their tenants', that no other worker looks after now."""
        if self._was_cut_off:
            # While the server was away all leases seemed to end: the other workers come back first.
            self._connection.ping()
            self._was_cut_off = False
            return
        try:
            self._take_a_turn()
        except redis.RedisError:
            self._was_cut_off = True
            raise

    def _take_a_turn(self) -> None:
        is_time_to_tidy = time.monotonic() > self._next_tidy
        for base in self._queues:
            # Not given back: it ends in time for the next turn, whoever comes first.
            turn = int(900 * self._interval)
            if not self._connection.set(
                f"rowmill:caretaker:{base}", self._worker, nx=True, px=turn
            ):
                continue
            for queue in self._with_tenants(base):
                try:
                    self._see_to(queue, is_time_to_tidy)
                except redis.ResponseError as error:
                    if not is_for_ever(error):
                        raise
                    # Anybody may put anything under a queue's keys; the other queues go on.
                    log.error(
                        "a queue can't be looked after: %s", brief(error), extra=_fields_of(queue)
                    )
        if is_time_to_tidy:
            self._next_tidy = time.monotonic() + _TIDY_SECONDS

    def _see_to(self, queue: str, is_time_to_tidy: bool) -> None:
        self.recover(queue)
        self._follow_ups.take_over(queue)
        if is_time_to_tidy:
            self._tidy(queue)

    def recover(self, queue: str) -> None:
        """Requeue or fail jobs whose lease has ended, put on the queue those that are due."""
        is_more = True
        while is_more:
            num_back, num_later, failed, with_more, num_due, is_more, num_abandoned = self._recover(
                queue,
                now_text(),
                _AT_ONCE,
                self._failure_ttl,
                reason_field(_ABANDONED),
                reason_field(TOO_LATE),
                self._max_attempts,
            )
            for job_id in with_more:
                self._follow_ups.submit(queue, job_id.decode())
            self._meter.requeued_jobs += num_back + num_later
            self._meter.abandoned_jobs += num_abandoned
            if num_back or num_later or failed:
                log.warning(
                    "abandoned jobs: %d requeued, %d to be tried later; failed: %d",
                    num_back,
                    num_later,
                    len(failed),
                    extra=_fields_of(queue),
                )
            for job_id in failed:
                fields = {"job_id": job_id.decode(errors="replace"), **_fields_of(queue)}
                log.info("a job failed: its deadline passed, or no attempt is left", extra=fields)
            if num_due:
                log.info("the time of %d jobs has come", num_due, extra=_fields_of(queue))

    def _with_tenants(self, base: str) -> list[str]:
        keys: Any = self._connection.smembers(Queue.redis_queues_keys)
        prefix = f"{Queue.redis_queue_namespace_prefix}{base}@".encode()
        found = (key.removeprefix(prefix) for key in keys if key.startswith(prefix))
        tenants = (tenant.decode(errors="replace") for tenant in sorted(found))
        return [base, *(queue_of(base, tenant) for tenant in tenants if is_name(tenant))]

    def _tidy(self, name: str) -> None:
        """Drop expired entries from the registries, and records of workers that are gone."""
        queue = Queue(name, connection=self._connection, serializer=MsgpackSerializer)
        for registry in (FinishedJobRegistry, FailedJobRegistry):
            registry(queue=queue).cleanup()
        queue.ready_job_registry.cleanup()
        if name in self._queues:  # once, not for each tenant: limits and workers are none's
            for limit in RateLimitRegistry.all(self._connection):
                limit.cleanup()  # a slot of a running job that was cancelled is nobody's else
            worker_registration.clean_worker_registry(queue)


def _fields_of(name: str) -> dict[str, str]:
    """What a log line about a queue carries."""
    queue, _, tenant = name.partition("@")
    return {"queue": queue, "tenant": tenant} if tenant else {"queue": queue}
