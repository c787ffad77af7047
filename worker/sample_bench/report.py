"""What a sample bench has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from worker.sample_bench.memory import MemoryFigure
from worker.sample_bench.throughput import Throughput


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleBenchReport:
    machine: str
    threads: int
    max_rows: int
    throughput: Sequence[Throughput]
    memory: Sequence[MemoryFigure]

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "threads": self.threads,
            "max_rows": self.max_rows,
            "throughput": {its.workload: its.to_json() for its in self.throughput},
            "memory": [dataclasses.asdict(its) for its in self.memory],
        }
