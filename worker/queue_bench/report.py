"""What a queue bench has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from worker.queue_bench.claim_time import ClaimTime
from worker.queue_bench.latency import Latency
from worker.queue_bench.throughput import Throughput


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueBenchReport:
    machine: str
    server: str
    throughput: Throughput
    latency: Mapping[str, Latency]
    claims: Sequence[ClaimTime]

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "server": self.server,
            "throughput": self.throughput.to_json(),
            "latency_ms": {name: dataclasses.asdict(its) for name, its in self.latency.items()},
            "claims": [dataclasses.asdict(its) for its in self.claims],
        }
