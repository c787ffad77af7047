"""Figures: what a worker's record tells of its engine, beside RQ's own fields."""

from __future__ import annotations

from pathlib import Path

from engine import Engine
from worker.config import WorkerConfig
from worker.rate import Rate
from worker.stream_publisher import StreamPublisher


class Figures:
    """Read at each heartbeat; rates are those since the last one."""

    def __init__(self, engine: Engine, config: WorkerConfig, publisher: StreamPublisher) -> None:
        self._engine = engine
        self._config = config
        self._publisher = publisher
        self._token_rate, self._prompt_rate = Rate(), Rate()

    def read(self) -> dict[str, int | float | str]:
        engine, stats = self._engine, self._engine.stats
        return {
            "engine_steps": stats.steps,
            "engine_tokens": stats.tokens,
            "engine_prompt_tokens": stats.prompt_tokens,
            "engine_cached_prompt_tokens": stats.cached_prompt_tokens,
            "running_rows": engine.num_running_rows,
            "max_rows": self._config.engine.max_rows,
            "kv_tokens": max(engine.kv_tokens - engine.cached_kv_tokens, 0),
            "kv_budget_tokens": engine.kv_budget_tokens,
            "memory_shortages": stats.memory_shortages,
            "stream_chunks": self._publisher.num_chunks,
            "stream_dropped_tokens": self._publisher.num_dropped_tokens,
            "tokens_per_second": self._token_rate.per_second(stats.tokens),
            "prompt_tokens_per_second": self._prompt_rate.per_second(stats.prompt_tokens),
            "reproducible": int(engine.provenance.reproducible),
            "model_name": Path(self._config.model).name,
            "lease": self._config.lease,
        }
