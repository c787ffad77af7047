"""Rowmill's speed under one policy: `python -m bench.policy_turn JSON`, in a fresh process.

A process of its own, as MKL decides at its first product how it rounds. The JSON is a `row_tile`
for the engine and fields of a BenchConfig; what is printed is the JSON of a PolicyTurn.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from statistics import median

import engine  # noqa: F401  (before what imports torch, whose environment it prepares)
from bench.config import BenchConfig
from bench.model import bench_model
from bench.peers.rowmill import Rowmill
from bench.speed import speed_of
from bench.workloads import build

WORKLOADS = ("samples", "singles")
_REPEATS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTurn:
    policy: str
    """What the engine says of itself."""
    speeds: dict[str, float]
    """Per workload, the median of some repeats in tokens per second."""


def take_turn(config: BenchConfig, row_tile: int | None) -> PolicyTurn:
    """`row_tile` as in EngineConfig."""
    config.use_threads()
    model = bench_model(config)
    peer = Rowmill(model, row_tile=row_tile)
    workloads = [build(name, model, is_quick=config.is_quick) for name in WORKLOADS]
    speeds: dict[str, list[float]] = {name: [] for name in WORKLOADS}
    for workload in workloads:
        peer.run(workload.warm_up())
    for _ in range(_REPEATS):
        for workload in workloads:
            speeds[workload.name].append(speed_of(peer, workload, config.device))
    return PolicyTurn(
        policy=peer.engine.provenance.policy,
        speeds={name: median(its) for name, its in speeds.items()},
    )


def main() -> None:
    fields = json.loads(sys.argv[1])
    row_tile = fields.pop("row_tile")
    print(json.dumps(dataclasses.asdict(take_turn(BenchConfig(**fields), row_tile))))


if __name__ == "__main__":
    main()
