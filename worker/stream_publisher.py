"""StreamPublisher: writes what is told of jobs' rows to their streams, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import redis

from engine import RowDelta
from jobs.wire import dump_chunk
from worker.claim import Claim
from worker.refusal import is_for_ever
from worker.scripts import script
from worker.translate import to_delta

_AT_ONCE = 64
"""Chunks in one call: while it takes them the server serves nobody else."""
_CHUNK_TOKENS = 2**16
"""Of a chunk, with one for each delta."""
_MOST_TOKENS = 2**20
"""That may wait."""
_KEPT_SECONDS = 3600
"""A stream, after its last chunk; when its job has ended, it is gone sooner."""
_RETRY_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
"""With a server that is away: by then leases have run out, and others tell it all again."""

_Chunk = tuple[Claim, bytes]

log = logging.getLogger("rowmill.streams")


class StreamPublisher:
    """Takes deltas from the step thread, which it never keeps waiting.

    What waits for the server becomes one chunk for each job. A chunk that is lost does its job no
    harm: readers take what they miss from the result.
    """

    def __init__(self, connection: redis.Redis, max_chunks: int) -> None:
        self._tell = script(connection, "tell")
        self._max_chunks = max_chunks
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[Claim, list[RowDelta]]] = {}
        """By execution ID."""
        self._num_tokens = 0
        """Of those."""
        self._is_closed = False
        self.num_chunks = 0
        """That are in the server."""
        self.num_dropped_tokens = 0
        """That nobody can read before the result is there."""
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Take no more; waits at most so long until what waits is written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_ready(self) -> bool:
        """Whether nothing waits: more would not get to readers any sooner."""
        return not self._waiting

    @property
    def has_room(self) -> bool:
        """Whether `put` takes more."""
        return self._num_tokens < _MOST_TOKENS

    def put(self, claim: Claim, deltas: Sequence[RowDelta]) -> None:
        """Soon tell these. Where there is no room they are dropped."""
        num_tokens = sum(len(delta.tokens) for delta in deltas)
        with self._changed:
            if not self.has_room:
                self.num_dropped_tokens += num_tokens
                return
            _, waiting = self._waiting.setdefault(claim.execution_id, (claim, []))
            waiting += deltas
            self._num_tokens += num_tokens
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._take():
            chunks = _chunks(batch)
            while part := [*islice(chunks, _AT_ONCE)]:
                try:
                    self._send(part)
                except Exception:  # a defect of ours: this thread must live
                    log.exception("%d chunks of streams are lost", len(part))

    def _take(self) -> list[tuple[Claim, list[RowDelta]]]:
        """What waits, as soon as something does; nothing once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            batch, self._waiting = self._waiting, {}
            self._num_tokens = 0
            return [*batch.values()]

    def _send(self, chunks: Sequence[_Chunk]) -> None:
        """Write some chunks; what the server does not take is dropped."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answers = self._tell(self._max_chunks, _KEPT_SECONDS, *_arguments(chunks))
                break
            except redis.RedisError as error:
                is_over = self._is_closed or time.monotonic() > give_up_at
                if is_over or is_for_ever(error):
                    log.warning("%d chunks of streams are dropped: %s", len(chunks), error)
                    return
                time.sleep(_RETRY_SECONDS)
        for (claim, _), answer in zip(chunks, answers, strict=True):
            if isinstance(answer, bytes):
                reason = answer.decode(errors="replace")
                log.warning("the server refuses a chunk: %s", reason, extra=claim.log_fields)
            self.num_chunks += answer == 1


def _chunks(batch: Iterable[tuple[Claim, list[RowDelta]]]) -> Iterator[_Chunk]:
    for claim, deltas in batch:
        for part in _parts(deltas):
            try:
                chunk = dump_chunk([to_delta(delta) for delta in part])
            except Exception:  # a defect of ours: it costs this job a chunk, and the thread lives
                log.exception("a chunk can't be written", extra=claim.log_fields)
            else:
                yield claim, chunk


def _parts(deltas: Sequence[RowDelta]) -> Iterator[Sequence[RowDelta]]:
    """The deltas in parts of bounded size."""
    first, size = 0, 0
    for place, delta in enumerate(deltas):
        its_size = 1 + len(delta.tokens)
        if size and size + its_size > _CHUNK_TOKENS:
            yield deltas[first:place]
            first, size = place, 0
        size += its_size
    yield deltas[first:]


def _arguments(chunks: Iterable[_Chunk]) -> Iterator[str | bytes]:
    for claim, chunk in chunks:
        yield from (claim.queue, claim.job_id, claim.execution_id, chunk)
