"""JobBatch: the jobs whose rows are in the engine, from their claim to their outcome."""

from __future__ import annotations

import logging
import time

from engine import Engine, RequestError
from jobs import JobsError
from worker.claim import Claim
from worker.finalizer import Finalizer
from worker.metrics.meter import Meter
from worker.running import Running
from worker.streams import Streams
from worker.translate import to_job, to_request

log = logging.getLogger("rowmill.worker")


class JobBatch:
    """Owned by the step thread. Whatever becomes of a job, the finalizer is told."""

    def __init__(
        self,
        engine: Engine,
        finalizer: Finalizer,
        streams: Streams,
        meter: Meter,
        *,
        max_payload_bytes: int,
    ) -> None:
        self._engine = engine
        self._finalizer = finalizer
        self._streams = streams
        self._meter = meter
        self._max_payload_bytes = max_payload_bytes
        self._running = Running()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def is_alone(self) -> bool:
        """Whether what runs must have no company."""
        return self._running.is_alone

    def take(self, claim: Claim) -> None:
        """Submit a claimed job to the engine; a bad one fails, and its neighbours run."""
        self._meter.note_claim(claim)
        try:
            job = to_job(claim, self._max_payload_bytes)
            self._engine.submit(to_request(job, claim.execution_id))
        except (JobsError, RequestError) as error:
            log.info("a job fails: %s", error, extra=claim.log_fields)
            self._finalizer.fail(claim, f"{type(error).__name__}: {error}")
            return
        except Exception as error:  # a defect of ours that this job brings out
            log.exception("a job can't be taken", extra=claim.log_fields)
            self._finalizer.fail(claim, f"{type(error).__name__}: {error}")
            return
        if claim.is_alone:
            reason = "its worker died in an earlier attempt"
            log.info("a job runs alone: %s", reason, extra=claim.log_fields)
        elif log.isEnabledFor(logging.DEBUG):  # a thousand times a second
            log.debug("claimed", extra=claim.log_fields)
        self._running.add(claim, job.deadline_seconds)
        if job.stream:
            self._streams.add(claim)

    def step(self) -> None:
        """Every running row takes one token; jobs that are done leave."""
        began = time.monotonic()
        results = self._engine.step()
        self._meter.note_step(self._engine, began, time.monotonic())
        self._streams.tell()
        for result in results:
            claim = self._running.pop(result.request_id)
            self._streams.end(claim, result)
            if result.error is None:
                self._finalizer.finish(claim, result)
            else:
                log.info("a job fails: %s", result.error, extra=claim.log_fields)
                self._finalizer.fail(claim, result.error)

    def drop_lost(self, execution_id: str) -> None:
        """What is cancelled, or given to another worker."""
        if execution_id in self._running:
            claim = self._running.pop(execution_id)
            self._leave(claim, "a job is no longer ours; it is given up")
            self._finalizer.drop(claim)

    def stop(self, job_id: str) -> None:
        """All executions of a job, as somebody asked for it."""
        for claim in self._running.pop_job(job_id):
            self._leave(claim, "a job is stopped on request")
            self._finalizer.fail(claim, "stopped on request", status="stopped")

    def drop_overdue(self) -> None:
        """Those whose time is over."""
        for claim, reason in self._running.pop_overdue():
            self._leave(claim, f"a job fails: {reason}")
            self._finalizer.fail(claim, reason)

    def pop_all(self) -> list[Claim]:
        """What has no outcome, in the order in which it was claimed; the engine goes with it."""
        return self._running.pop_all()

    def _leave(self, claim: Claim, why: str) -> None:
        self._engine.cancel(claim.execution_id)
        self._streams.forget(claim.execution_id)
        log.info("%s", why, extra=claim.log_fields)
