"""FreeEngine: what is left of a worker's time is the queue's."""

from __future__ import annotations

import time

from engine import EngineConfig, EngineStats, Provenance, Request, RequestResult, RowResult
from engine.models.packed import ModelShape
from worker.queue_bench.payload import MASKS, NUM_TOKENS, PROVENANCE, TOKENS


class FreeEngine:
    """Has of Engine's surface what BatchWorker uses.

    The first step finishes every request, with the same tokens for each row. `seconds` is what
    `submit` and `step` took in all.
    """

    def __init__(self, max_rows: int) -> None:
        self.config = EngineConfig(max_rows=max_rows)
        self.stats = EngineStats()
        self.kv_budget_tokens = max_rows * NUM_TOKENS
        self.seconds = 0.0
        self._waiting: dict[str, Request] = {}
        self._row = RowResult(TOKENS, MASKS, "length")
        self.provenance = Provenance(**PROVENANCE)
        self.shape = ModelShape(
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            head_dim=1,
            vocab_size=None,
            max_seq_len=2**20,
        )

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    @property
    def num_running_rows(self) -> int:
        return sum(request.num_samples for request in self._waiting.values())

    num_busy_rows = num_running_rows
    kv_tokens = cached_kv_tokens = 0

    @property
    def num_running_requests(self) -> int:
        return len(self._waiting)

    def submit(self, request: Request) -> None:
        started = time.perf_counter()
        self._waiting[request.id] = request
        self.seconds += time.perf_counter() - started

    def cancel(self, request_id: str) -> None:
        self._waiting.pop(request_id, None)

    def step(self) -> list[RequestResult]:
        started = time.perf_counter()
        self.stats.steps += 1
        self.stats.tokens += NUM_TOKENS * self.num_running_rows
        results = [
            RequestResult(request.id, [self._row] * request.num_samples, None, self.provenance)
            for request in self._waiting.values()
        ]
        self._waiting.clear()
        self.seconds += time.perf_counter() - started
        return results
