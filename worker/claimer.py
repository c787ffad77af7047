"""Claimer: when a worker claims, and for how many rows."""

from __future__ import annotations

import logging
import math
import time

import redis

from worker.claim import Claim
from worker.claims import Claims
from worker.ledger import Ledger

_EMPTY_SECONDS = 0.01
"""Shortest time between looks at an empty queue while rows are running."""
_RETRY_SECONDS = 1.0
_LONGEST_RETRY = 8.0
_BLOCKED_SECONDS = 10.0
"""How long other queues are served while a job of one has to run alone."""
_SHARE_AHEAD = 8

log = logging.getLogger("rowmill.worker")


class Claimer:
    """Claims where a row is free, and an eighth of all rows ahead of it.

    A round trip takes as long as a step of a small model, and rows of a busy batch come free one by
    one: without those that wait in the engine, each would cost a round trip.
    """

    def __init__(self, ledger: Ledger, claims: Claims, max_rows: int) -> None:
        """What is claimed is put among `claims` at once, so that its lease is extended."""
        self._ledger = ledger
        self._claims = claims
        self._max_rows = max_rows
        self._next = 0.0
        self._retry_seconds = _RETRY_SECONDS
        self._blocked_since = math.inf
        """When claims began to find a job that has to run alone."""

    @property
    def seconds_left(self) -> float:
        """Until it may ask again."""
        return self._next - time.monotonic()

    def hurry(self) -> None:
        """There may be jobs now."""
        self._next = 0.0

    def claim(self, num_busy_rows: int, *, is_idle: bool) -> list[Claim] | None:
        """Jobs for the rows that are free, if any, and a few that wait. None where the server was
        not asked, or did not answer.

        `is_idle`: nothing runs, so that a job which has to run alone may be claimed.
        """
        if num_busy_rows >= self._max_rows or not self._may_ask(is_idle):
            return None
        num_rows = self._max_rows + self._max_rows // _SHARE_AHEAD - num_busy_rows
        try:
            claims = self._ledger.claim(num_rows, is_idle=is_idle)
        except redis.RedisError as error:
            log.warning("can't claim jobs, will try again: %s", error)
            self._next = time.monotonic() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY)
            return None
        self._claims.add(claims)
        self._retry_seconds = _RETRY_SECONDS
        self._note(claims)
        return claims

    def _may_ask(self, is_idle: bool) -> bool:
        now = time.monotonic()
        # After a while the job that has to run alone has waited long enough for that.
        return now >= self._next and (is_idle or now <= self._blocked_since + _BLOCKED_SECONDS)

    def _note(self, claims: list[Claim]) -> None:
        if not self._ledger.is_blocked:
            self._blocked_since = math.inf
        elif self._blocked_since == math.inf:
            self._blocked_since = time.monotonic()
        if not claims:
            self._next = time.monotonic() + _EMPTY_SECONDS
