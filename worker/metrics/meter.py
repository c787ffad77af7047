"""Meter: what a worker counts beside its engine. Knows no Prometheus."""

from __future__ import annotations

import time
from collections import Counter

from engine import Engine, RequestTimes
from worker.claim import Claim, Outcome
from worker.metrics.buckets import Buckets

# vLLM's bounds, with finer ones below for small models.
_STEP_SECONDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_REQUEST_SECONDS = (
    *(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0),
    *(40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_ROWS = tuple(2.0**n for n in range(13))
_LOOK_SECONDS = 0.1


class Meter:
    """Each count has one thread that writes it, named below; any thread may read."""

    def __init__(self) -> None:
        # The step thread.
        self.step_seconds = Buckets(_STEP_SECONDS)
        self.step_rows = Buckets(_ROWS)
        self.inter_token_seconds = Buckets(_STEP_SECONDS)
        self.claimed_jobs = 0
        self.retries = 0
        self.running_jobs = 0
        """Jobs that the engine has admitted."""
        self.kv_usage = 0.0
        """Of the KV budget, what requests hold; what only the prefix cache keeps is free."""
        self._tokens = 0
        self._started_rows = 0
        self._last_token_at = 0.0
        self._looked_at = 0.0
        # The finalizer.
        self.jobs: Counter[str] = Counter(dict.fromkeys(("finished", "failed", "stopped"), 0))
        """By how they ended, once that is stored."""
        self.rows: Counter[str] = Counter(dict.fromkeys(("stop", "length"), 0))
        """Of finished jobs, by their finish reason."""
        self.late_results = 0
        """Outcomes that were fenced off: the job was no longer this worker's."""
        self.queue_seconds = Buckets(_REQUEST_SECONDS)
        self.prefill_seconds = Buckets(_REQUEST_SECONDS)
        self.decode_seconds = Buckets(_REQUEST_SECONDS)
        self.first_token_seconds = Buckets(_FIRST_TOKEN_SECONDS)
        self.request_seconds = Buckets(_REQUEST_SECONDS)
        # The caretaker.
        self.requeued_jobs = 0
        """Jobs whose worker died or was cut off, and that are tried again."""
        self.abandoned_jobs = 0
        """Jobs that failed for that, as no attempt was left."""

    def note_claim(self, claim: Claim) -> None:
        self.claimed_jobs += 1
        self.retries += claim.is_alone  # it is for nothing but an earlier attempt

    def note_step(self, engine: Engine, began: float, ended: float) -> None:
        """A step took from `began` to `ended`, by `time.monotonic`.

        Every running row takes a token in every step that gives any. So the rows that did not
        start in this one waited for it since the last that gave tokens.
        """
        stats = engine.stats
        num_rows, num_started = stats.tokens - self._tokens, stats.started_rows - self._started_rows
        self._tokens, self._started_rows = stats.tokens, stats.started_rows
        self.step_seconds.add(ended - began)
        if num_rows:
            self.step_rows.add(num_rows)
            if num_rows > num_started:
                self.inter_token_seconds.add(ended - self._last_token_at, num_rows - num_started)
            self._last_token_at = ended
        if ended > self._looked_at + _LOOK_SECONDS or not engine.has_work:
            self.look(engine)

    def look(self, engine: Engine) -> None:
        """What only the step thread can see without harm."""
        self._looked_at = time.monotonic()
        self.running_jobs = engine.num_running_requests
        held = engine.kv_tokens - engine.cached_kv_tokens
        self.kv_usage = min(held / engine.kv_budget_tokens, 1.0)

    def note_stored(self, outcome: Outcome) -> None:
        """It counts, and is stored."""
        if outcome.status == "lost":
            return
        self.jobs[outcome.status] += 1
        result = outcome.result
        if outcome.status != "finished" or result is None:
            return
        self.rows.update(row.finish_reason for row in result.rows)
        if result.times is not None:
            self._note_times(outcome.claim, result.times)

    def _note_times(self, claim: Claim, times: RequestTimes) -> None:
        """A request arrives when it is pushed, so its time on the server counts. That is between
        the producer's clock and the server's; the rest is by this process's."""
        created_at = claim.claimed_at if claim.created_at is None else claim.created_at
        on_server = max(claim.claimed_at - created_at, 0.0)
        self.request_seconds.add(on_server + time.monotonic() - times.submitted_at)
        if times.admitted_at is None or times.first_token_at is None:
            return
        self.queue_seconds.add(on_server + times.admitted_at - times.submitted_at)
        self.prefill_seconds.add(times.first_token_at - times.admitted_at)
        self.first_token_seconds.add(on_server + times.first_token_at - times.submitted_at)
        self.decode_seconds.add(times.done_at - times.first_token_at)
