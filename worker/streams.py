"""Streams: which of the running jobs tell their tokens as they come, and when it is whose turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from engine import Engine, RequestResult
from worker.claim import Claim
from worker.stream_publisher import StreamPublisher

_MOST_PER_SECOND = 2000.0
"""Pieces of all jobs together, so that telling them takes a small part of the steps' time."""
_ROWS_PER_PIECE = 4
"""With more rows a piece counts for more: one of a thousand rows takes milliseconds."""
_BURST_SECONDS = 0.25


class _Told(NamedTuple):
    """A job of which something was told, and when that was."""

    claim: Claim
    seconds: float
    step: int


class Streams:
    """Owned by the step thread.

    A job's first tokens are told at once, further ones `interval` seconds later, or when a row has
    `most_tokens` new ones. Where that comes to more than `most_per_second` pieces, of four rows
    each, jobs take turns. The engine keeps what is to be told, also while the server is away: then
    it comes in fewer and larger pieces, and none is lost.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: StreamPublisher,
        interval: float,
        most_tokens: int,
        most_per_second: float = _MOST_PER_SECOND,
    ) -> None:
        self._engine = engine
        self._publisher = publisher
        self._interval = interval
        self._most_tokens = most_tokens
        self._silent: dict[str, Claim] = {}
        """By execution ID, jobs of which nothing was told."""
        self._told: dict[str, _Told] = {}
        """The others; whom we have not heard of for the longest time comes first."""
        self._num_steps = 0
        self._most_per_second = most_per_second
        self._allowance = most_per_second * _BURST_SECONDS
        """How many pieces may be told now."""
        self._allowed_at = time.monotonic()

    def add(self, claim: Claim) -> None:
        self._silent[claim.execution_id] = claim

    def forget(self, execution_id: str) -> None:
        """Of a job that is not ours any more."""
        self._silent.pop(execution_id, None)
        self._told.pop(execution_id, None)

    def tell(self) -> None:
        """After a step of the engine: hand on what is new of those whose turn it is."""
        if not self._silent and not self._told:
            return
        self._num_steps += 1
        if not self._publisher.is_ready:
            return
        now = time.monotonic()
        self._allow(now)
        for claim in [*self._silent.values(), *self._due(now)]:
            if not self._publisher.has_room:
                return
            if deltas := self._engine.deltas(claim.execution_id):
                self._publisher.put(claim, deltas)
                self.forget(claim.execution_id)
                self._told[claim.execution_id] = _Told(claim, now, self._num_steps)
                self._allowance -= max(1.0, len(deltas) / _ROWS_PER_PIECE)

    def end(self, claim: Claim, result: RequestResult) -> None:
        """Tell the rest of a job that the engine is done with."""
        self.forget(claim.execution_id)
        if result.deltas:
            self._publisher.put(claim, result.deltas)

    def _allow(self, now: float) -> None:
        more = (now - self._allowed_at) * self._most_per_second
        most = self._most_per_second * _BURST_SECONDS
        self._allowance = min(self._allowance + more, most)
        self._allowed_at = now

    def _due(self, now: float) -> Iterator[Claim]:
        for its in islice(self._told.values(), max(0, int(self._allowance))):
            waits = now < its.seconds + self._interval
            if waits and self._num_steps < its.step + self._most_tokens:
                return
            yield its.claim
