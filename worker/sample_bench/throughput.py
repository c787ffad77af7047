"""The command and the bare engine take turns, so that what else the machine does meets both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.errors import BenchError
from jobs import Client
from worker.bench_process import BenchProcess
from worker.local_fleet import LocalFleet, local_fleet
from worker.sample_bench.sampler import sample
from worker.sample_bench.workload import Workload

_QUEUE = "bench"
_LOAD_SECONDS = 60.0
_LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Of one workload, with one worker."""

    workload: str
    inputs: int
    rows: int
    tokens: int
    sampled: list[float]
    """Seconds of the command, turn by turn."""
    bare: list[float]
    """Seconds of the engine."""

    @property
    def sampled_speed(self) -> float:
        """Tokens per second; as all of these, by the median of the turns."""
        return self.tokens / median(self.sampled)

    @property
    def bare_speed(self) -> float:
        return self.tokens / median(self.bare)

    @property
    def ratio(self) -> float:
        """The share of the engine's speed that is left."""
        return self.sampled_speed / self.bare_speed

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "rows": self.rows,
            "tokens": self.tokens,
            "tokens_per_second": {"sample": self.sampled_speed, "engine": self.bare_speed},
            "ratio": self.ratio,
            "repeats": {
                "sample": [self.tokens / seconds for seconds in self.sampled],
                "engine": [self.tokens / seconds for seconds in self.bare],
            },
        }


def measure_throughput(
    workload: Workload,
    folder: Path,
    *,
    max_rows: int,
    threads: int,
    repeats: int,
    progress: Callable[[str], None],
) -> Throughput:
    """Both run on `threads` threads with `max_rows` rows, loaded and warm before their clocks run.

    Raises BenchError where they do not make the same number of tokens.
    """
    sampled, bare = [], []
    tokens = set()
    with local_fleet(
        workload.model,
        max_rows=max_rows,
        queue=_QUEUE,
        threads=threads,
        device="cpu",
        drain_seconds=0.0,
    ) as fleet:
        _warm_up(fleet, workload)
        for turn in range(repeats):
            progress(f"{workload.name}: rowmill sample, turn {turn + 1}")
            out = folder / f"{workload.name}-{turn}"
            its = sample(
                fleet.url,
                _QUEUE,
                workload.inputs,
                out,
                num_samples=workload.num_samples,
                max_tokens=workload.max_tokens,
            )
            sampled.append(its.seconds)
            progress(f"{workload.name}: the bare engine, turn {turn + 1}")
            engine = _bare(workload, max_rows, threads)
            bare.append(engine["seconds"])
            tokens |= {its.tokens, engine["tokens"]}
    if len(tokens) != 1:
        raise BenchError(f"the same requests made {' and '.join(map(str, tokens))} tokens")
    return Throughput(
        workload=workload.name,
        inputs=its.inputs,
        rows=its.rows,
        tokens=its.tokens,
        sampled=sampled,
        bare=bare,
    )


def _warm_up(fleet: LocalFleet, workload: Workload) -> None:
    """Wait until the worker has its model, and has run something."""
    with Client(fleet.url, _QUEUE) as client:
        prompt = list(range(1, 17))
        jobs = [{"prompt_tokens": prompt, "num_samples": 8, "max_tokens": 16}] * 8
        for _ in client.results(client.submit_many(jobs), _LOAD_SECONDS):
            fleet.check()


def _bare(workload: Workload, max_rows: int, threads: int) -> dict[str, Any]:
    with BenchProcess(
        "worker.sample_bench.bare_process",
        model=workload.model,
        inputs=str(workload.inputs),
        num_samples=workload.num_samples,
        max_tokens=workload.max_tokens,
        max_rows=max_rows,
        threads=threads,
    ) as process:
        process.go()
        return process.wait()
