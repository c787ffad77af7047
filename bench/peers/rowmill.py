"""Rowmill's engine."""

from __future__ import annotations

from collections import deque

from bench.model import BenchModel
from bench.names import ROWMILL
from bench.workload import Workload
from engine import Engine, EngineConfig, Request, RowResult, SamplingParams

MAX_ROWS = 256


class Rowmill:
    name = ROWMILL

    def __init__(
        self, model: BenchModel, *, temperature: float = 1.0, row_tile: int | None = None
    ) -> None:
        """`row_tile` as in EngineConfig: None is what the probe finds."""
        config = EngineConfig(max_rows=MAX_ROWS, row_tile=row_tile)
        self.engine = Engine(model.gpt(), model.tokenizer, config)
        self._temperature = temperature

    def run(self, workload: Workload) -> int:
        return sum(len(row.tokens) for rows in self.rows(workload) for row in rows)

    def rows(self, workload: Workload) -> list[list[RowResult]]:
        """The rows of every request, in the workload's order."""
        engine = self.engine
        waiting = deque(enumerate(workload.requests))
        done: dict[str, list[RowResult]] = {}
        start = engine.stats.tokens
        while waiting or engine.has_work:
            now = engine.stats.tokens - start
            # Nothing comes of an idle clock: the next request then comes at once.
            while waiting and (waiting[0][1].arrival <= now or not engine.has_work):
                index, request = waiting.popleft()
                engine.submit(
                    Request(
                        id=str(index),
                        prompt_tokens=request.prompt_tokens,
                        num_samples=request.num_samples,
                        params=SamplingParams(
                            max_tokens=request.max_tokens,
                            temperature=self._temperature,
                            seed=index,
                        ),
                    )
                )
            done.update((result.request_id, result.rows) for result in engine.step())
        return [done[str(index)] for index in range(len(workload.requests))]
