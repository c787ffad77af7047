"""The bare engine on the requests of a workload: `python -m … JSON`."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from engine import Engine, EngineConfig, Request, SamplingParams
from worker.bench_process import serve
from worker.config import WorkerConfig
from worker.run_worker import load_engine

_WARM_UP = 8
"""Requests."""


def main(
    model: str, inputs: str, num_samples: int, max_tokens: int, max_rows: int, threads: int
) -> None:
    config = WorkerConfig(
        model=model,
        redis_url="",
        device="cpu",
        num_threads=threads,
        engine=EngineConfig(max_rows=max_rows),
    )
    engine = load_engine(config)
    requests = [
        Request(
            id=str(index),
            prompt_tokens=line["prompt_tokens"],
            num_samples=num_samples,
            params=SamplingParams(max_tokens=max_tokens, seed=line["seed"]),
        )
        for index, line in enumerate(map(json.loads, Path(inputs).read_text().splitlines()))
    ]
    _run(engine, requests[:_WARM_UP])

    def work() -> dict[str, Any]:
        started = time.perf_counter()
        num_tokens = _run(engine, requests)
        return {"seconds": time.perf_counter() - started, "tokens": num_tokens}

    serve(work)


def _run(engine: Engine, requests: list[Request]) -> int:
    """How many tokens they make. As many rows wait as can run, so that none of these is free."""
    waiting, num_tokens = deque(requests), 0
    while waiting or engine.has_work:
        while waiting and engine.num_busy_rows < 2 * engine.config.max_rows:
            engine.submit(waiting.popleft())
        for result in engine.step():
            num_tokens += sum(len(row.tokens) for row in result.rows)
    return num_tokens


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
