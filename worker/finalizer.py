"""Stores outcomes in bulk, on a thread of its own, so that no step waits for the server."""

from __future__ import annotations

import logging
import queue
import threading
import time

import redis

from engine import RequestResult
from worker.claim import Claim, Outcome, Status
from worker.claims import Claims
from worker.ledger import Ledger
from worker.metrics.meter import Meter
from worker.refusal import is_for_ever
from worker.translate import to_wire

_AT_ONCE = 64
_RETRY_SECONDS = 1.0
_MOST_CUTS = 5
"""As often a call may fail before the outcomes in it are looked at one by one."""
_MOST_BYTES = 256 * 2**20
"""Of a job's rows: servers take values of 512 MiB, and these are stored as base64."""

_Item = tuple[Claim, RequestResult, float] | Outcome
"""The float: when the engine was done."""

log = logging.getLogger("rowmill.finalizer")


class Finalizer:
    """Takes outcomes from any thread; `close` and `join` wait until all of them are stored.

    Where the server can't be reached it tries again until it can. Meanwhile the leases may run out
    and others do the jobs anew; then these outcomes are fenced off.
    """

    def __init__(self, ledger: Ledger, claims: Claims, meter: Meter | None = None) -> None:
        self._ledger = ledger
        self._claims = claims
        self._meter = meter or Meter()
        self._queue: queue.SimpleQueue[_Item | None]
        self._queue = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="finalizer", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def finish(self, claim: Claim, result: RequestResult) -> None:
        self._queue.put((claim, result, time.monotonic()))

    def fail(self, claim: Claim, reason: str, status: Status = "failed") -> None:
        self._queue.put(Outcome(claim=claim, status=status, value=reason))

    def drop(self, claim: Claim) -> None:
        """Tidy up a claim whose job is somebody else's, or nobody's."""
        self._queue.put(Outcome(claim=claim, status="lost"))

    def close(self) -> None:
        """Take no more outcomes; the thread ends once all are stored."""
        self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, at most so many seconds; tells whether it has."""
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            while len(batch) < _AT_ONCE and not self._queue.empty():
                batch.append(self._queue.get())
            is_open = None not in batch
            items = [item for item in batch if item is not None]
            try:
                self._store([_outcome(item) for item in items])
            except Exception:  # a defect of ours: this thread must live, and others do the jobs
                log.exception("%d outcomes are lost; their leases will run out", len(items))
                self._claims.remove(_claim_of(item) for item in items)

    def _store(self, outcomes: list[Outcome]) -> None:
        """Store a batch, however often that takes; a refused outcome becomes a failure once."""
        num_cuts = 0
        while outcomes:
            try:
                answers = self._ledger.finish(outcomes)
            except redis.RedisError as error:
                num_cuts += self._is_cut(error)
                if not (is_for_ever(error) or num_cuts >= _MOST_CUTS):
                    log.warning("can't store %d outcomes, will try again: %s", len(outcomes), error)
                    time.sleep(_RETRY_SECONDS)
                    continue
                if len(outcomes) > 1:  # it is for what one of them is
                    for outcome in outcomes:
                        self._store([outcome])
                    return
                answers = [str(error)]
            outcomes = self._settle(outcomes, answers)

    def _settle(self, outcomes: list[Outcome], answers: list[bool | str]) -> list[Outcome]:
        """Let go of what is stored; returns the failures that stand for refused rows."""
        refused = []
        for outcome, answer in zip(outcomes, answers, strict=True):
            if isinstance(answer, str) and outcome.status == "finished":
                refused.append(_failed(outcome.claim, f"the server refused the rows: {answer}"))
                continue
            if isinstance(answer, str):
                log.error("the server refuses an outcome: %s", answer, extra=outcome.log_fields)
            elif answer:
                self._meter.note_stored(outcome)
                if log.isEnabledFor(logging.DEBUG):  # a thousand times a second
                    log.debug("stored", extra=outcome.log_fields)
            else:
                log.info("the job is no longer ours; outcome dropped", extra=outcome.log_fields)
                self._meter.late_results += 1
            self._claims.remove([outcome.claim])
        return refused

    def _is_cut(self, error: redis.RedisError) -> bool:
        """Whether a server that is there has hung up: it does so on values beyond its limit."""
        if not isinstance(error, redis.ConnectionError):
            return False
        try:
            return self._ledger.ping()
        except redis.RedisError:
            return False


def _outcome(item: _Item) -> Outcome:
    if isinstance(item, Outcome):
        return item
    claim, result, done_at = item
    try:
        rows = to_wire(result)
    except Exception as error:  # a defect of ours that this job brings out
        log.exception("a job's rows can't be written", extra=claim.log_fields)
        return _failed(claim, f"{type(error).__name__}: {error}")
    if len(rows) > _MOST_BYTES:
        reason = f"num_samples: the rows take {len(rows)} bytes, of at most {_MOST_BYTES}"
        return _failed(claim, reason)
    return Outcome(claim=claim, status="finished", value=rows, result=result, done_at=done_at)


def _claim_of(item: _Item) -> Claim:
    return item.claim if isinstance(item, Outcome) else item[0]


def _failed(claim: Claim, reason: str) -> Outcome:
    return Outcome(claim=claim, status="failed", value=reason)
