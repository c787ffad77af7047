"""The jobs of a storm, and the rows that they have where nothing goes wrong."""

from __future__ import annotations

import random

from engine import Engine, EngineConfig
from engine.models import load_model
from jobs import GenerateJob, SampledRows
from tests.integration.job_mixes import question
from worker.translate import to_request, to_rows

NUM_DIFFERENT = 250
"""Jobs with the same content have the same rows: the more of them there are, the better."""


class Workload:
    """Job `index` is one of a few hundred different ones; `rows[index]` is what it has to give."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self._jobs = [_job(rng) for _ in range(NUM_DIFFERENT)]
        self._rows = _quiet_rows(self._jobs)

    def job(self, index: int) -> GenerateJob:
        return self._jobs[index % NUM_DIFFERENT]

    def rows(self, index: int) -> SampledRows:
        return self._rows[index % NUM_DIFFERENT]


def _job(rng: random.Random) -> GenerateJob:
    """Mostly short; one in ten runs for a while, so that it is often caught in the middle."""
    is_long = rng.random() < 0.1
    return question(
        f"What is {rng.randrange(1000)} * {rng.randrange(1000)}?",
        num_samples=rng.randint(1, 8),
        max_tokens=rng.randint(100, 200) if is_long else rng.randint(8, 64),
        temperature=rng.choice((0.0, 1.0, 4.0, 8.0)),
        top_k=rng.choice((None, 20)),
        seed=rng.randrange(2**64),
    )


def _quiet_rows(jobs: list[GenerateJob]) -> list[SampledRows]:
    """By one engine, without a queue."""
    model, tokenizer = load_model("demo")
    engine = Engine(model, tokenizer, EngineConfig(max_rows=64, kv_budget_tokens=200_000))
    for index, job in enumerate(jobs):
        engine.submit(to_request(job, str(index)))
    rows: dict[str, SampledRows] = {}
    while engine.has_work:
        rows.update((result.request_id, to_rows(result)) for result in engine.step())
    return [rows[str(index)] for index in range(len(jobs))]
