"""Systems take turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import redis

from worker.queue_bench.config import QueueBenchConfig
from worker.queue_bench.rowmill_system import RowmillSystem
from worker.queue_bench.rq_system import RqSystem
from worker.queue_bench.server_counts import ServerCounts
from worker.queue_bench.turn import Turn, whole_path

RQ = "rq SimpleWorker"
_SPEEDS = ("worked", "submitted", "submitted_many", "read")
_PHASES = ("push", "work", "reading")
_SLOWER = 8
"""By how much fewer jobs RQ's worker has, so that its turns take about as long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    turns: Mapping[str, list[Turn]]
    """Per system: Rowmill's worker by the rows of its batch, and RQ's."""
    whole: Mapping[str, list[float]]
    """Jobs per second until a client that reads meanwhile has the rows."""

    def speed(self, system: str, of: str) -> float:
        """Median jobs per second of one of the parts of a turn."""
        return float(median(getattr(turn, of) for turn in self.turns[system]))

    def whole_speed(self, system: str) -> float:
        return median(self.whole[system])

    def counts(self, system: str, phase: str) -> ServerCounts:
        """Per job, of the last turn: they hardly differ."""
        counts: ServerCounts = getattr(self.turns[system][-1], phase)
        return counts

    @property
    def ratio(self) -> float:
        """How many times as fast as RQ's worker Rowmill's is with its largest batch."""
        ours = next(iter(self.turns))
        return self.speed(ours, "worked") / self.speed(RQ, "worked")

    def to_json(self) -> dict[str, Any]:
        return {
            "jobs_per_second": {
                system: {name: self.speed(system, name) for name in _SPEEDS}
                for system in self.turns
            },
            "whole_path": {system: self.whole_speed(system) for system in self.whole},
            "ratio": self.ratio,
            "per_job": {
                system: {phase: dataclasses.asdict(self.counts(system, phase)) for phase in _PHASES}
                for system in self.turns
            },
            "repeats": {
                system: [{name: getattr(turn, name) for name in _SPEEDS} for turn in turns]
                for system, turns in self.turns.items()
            },
        }


def batch_name(rows: int) -> str:
    return f"rowmill, batches of {rows}"


def measure_throughput(
    url: str,
    connection: redis.Redis,
    queue: str,
    config: QueueBenchConfig,
    progress: Callable[[str], None],
) -> Throughput:
    ours, rq = RowmillSystem(url, queue), RqSystem(url, f"{queue}-rq")
    largest = config.batches[0]
    few = max(config.num_jobs // _SLOWER, 1)
    turns: dict[str, list[Turn]] = {}
    whole: dict[str, list[float]] = {}
    for repeat in range(config.repeats):
        for rows in config.batches:
            name = batch_name(rows)
            progress(f"{name}, turn {repeat + 1}")
            num_jobs = config.num_jobs if rows == largest else few
            turns.setdefault(name, []).append(Turn.of(ours, url, connection, num_jobs, rows))
        progress(f"{RQ}, turn {repeat + 1}")
        turns.setdefault(RQ, []).append(Turn.of(rq, url, connection, few, 1))
        progress(f"with a client that reads meanwhile, turn {repeat + 1}")
        speed = whole_path(ours, url, connection, config.num_jobs, largest)
        whole.setdefault(batch_name(largest), []).append(speed)
        whole.setdefault(RQ, []).append(whole_path(rq, url, connection, few, 1))
    return Throughput(turns=turns, whole=whole)
