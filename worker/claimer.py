"""Claimer: when a worker claims, and that no step waits for it."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

import redis

from worker.claim import Claim
from worker.claims import Claims
from worker.ledger import Ledger

_EMPTY_SECONDS = 0.01
"""Shortest time between looks at an empty queue."""
_SHORTEST_WAIT = 0.001
"""To wait for less takes longer than that."""
_RETRY_SECONDS = 1.0
_LONGEST_RETRY = 8.0
_BLOCKED_SECONDS = 10.0
"""How long other queues are served while a job of one has to run alone."""

log = logging.getLogger("rowmill.worker")


class Claimer:
    """One claim at a time. While rows run it is under way on a thread of its own, and its answer is
    taken when it is there: a round trip takes as long as a step of a small model.

    Claims are among `claims` as soon as the server has answered, so that their leases are extended.
    """

    def __init__(self, ledger: Ledger, claims: Claims) -> None:
        self._ledger = ledger
        self._claims = claims
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="claimer")
        self._asked: Future[list[Claim]] | None = None
        self._next = 0.0
        self._retry_seconds = _RETRY_SECONDS
        self._blocked_since = math.inf
        """When claims began to find a job that has to run alone."""

    @property
    def is_asking(self) -> bool:
        """Whether a claim is under way."""
        return self._asked is not None

    @property
    def is_empty(self) -> bool:
        """Whether the last claim found the queues empty."""
        return self._ledger.is_empty

    @property
    def seconds_left(self) -> float:
        """Until it may ask again."""
        return self._next - time.monotonic()

    def hurry(self) -> None:
        """There may be jobs now."""
        self._next = 0.0

    def claim(self, num_rows: int, *, is_idle: bool, seconds: float) -> list[Claim] | None:
        """Jobs for so many rows. None: it did not ask, or has no answer yet.

        To a worker that runs nothing, `is_idle`, it gives an answer to what is asked now, or to
        what it had asked before; to another it may give one at a later call, after at most
        `seconds` in each.
        """
        if self._asked is None and not self._may_ask(num_rows, is_idle):
            return None
        try:
            if self._asked is None and is_idle:
                return self._taken(self._ask(num_rows, is_idle))
            if self._asked is None:
                self._asked = self._thread.submit(self._ask, num_rows, is_idle)
            if is_idle or seconds >= _SHORTEST_WAIT:
                wait([self._asked], None if is_idle else seconds)
            if not self._asked.done():
                return None
            asked, self._asked = self._asked, None
            return self._taken(asked.result())
        except redis.RedisError as error:
            log.warning("can't claim jobs, will try again: %s", error)
            self._next = time.monotonic() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY)
            return None

    def close(self) -> list[Claim]:
        """Claim no more. Returns what a claim that was under way has brought."""
        claims: list[Claim] = []
        if self._asked is not None:
            with contextlib.suppress(redis.RedisError):
                claims = self._asked.result()
        self._asked = None
        self._thread.shutdown()
        return claims

    def _may_ask(self, num_rows: int, is_idle: bool) -> bool:
        now = time.monotonic()
        if num_rows <= 0 or now < self._next:
            return False
        # Else a job has long been waiting for this worker to run nothing.
        return is_idle or now <= self._blocked_since + _BLOCKED_SECONDS

    def _ask(self, num_rows: int, is_idle: bool) -> list[Claim]:
        claims = self._ledger.claim(num_rows, is_idle=is_idle)
        self._claims.add(claims)
        return claims

    def _taken(self, claims: list[Claim]) -> list[Claim]:
        self._retry_seconds = _RETRY_SECONDS
        if not self._ledger.is_blocked:
            self._blocked_since = math.inf
        elif self._blocked_since == math.inf:
            self._blocked_since = time.monotonic()
        if not claims:
            self._next = time.monotonic() + _EMPTY_SECONDS
        return claims
