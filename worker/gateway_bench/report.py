"""What a gateway bench has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from worker.gateway_bench.latency import CLIENT, GATEWAY, Latency
from worker.gateway_bench.streams import StreamRound


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBenchReport:
    machine: str
    latency: Mapping[str, Latency]
    idle_resident_bytes: int
    """Of the gateway, before it had streams."""
    rounds: Sequence[StreamRound]

    @property
    def overhead(self) -> float:
        """Milliseconds that the gateway adds, by the medians."""
        return self.latency[GATEWAY].median - self.latency[CLIENT].median

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "latency_ms": {name: dataclasses.asdict(its) for name, its in self.latency.items()},
            "overhead_ms": self.overhead,
            "idle_resident_bytes": self.idle_resident_bytes,
            "streams": [dataclasses.asdict(its) for its in self.rounds],
        }
