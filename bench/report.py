"""What a bench has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from statistics import median
from typing import Any

from bench.controls import ControlsFigures
from bench.growth import Growth
from bench.machine import Machine
from bench.memory import MemoryFigures
from bench.policy_cost import PolicyCost
from bench.prefixes import PrefixFigure
from engine import Provenance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    machine: Machine
    model: Mapping[str, Any]
    about: Mapping[str, Mapping[str, Any]]
    """Per workload, what it holds."""
    repeats: Mapping[str, Mapping[str, list[float]]]
    """Per workload and engine: tokens per second, once per repeat."""
    left_out: Mapping[str, str]
    """What did not run, and why."""
    provenance: Mapping[str, Provenance]
    """Per workload, what Rowmill's engine says of itself: its policy, versions and so on."""
    growth: Growth | None = None
    policy_cost: Mapping[str, PolicyCost] = dataclasses.field(default_factory=dict)
    """Per workload."""
    controls: ControlsFigures | None = None
    prefixes: Mapping[str, PrefixFigure] = dataclasses.field(default_factory=dict)
    """Per kind of prompts."""
    memory: MemoryFigures | None = None

    def speed(self, workload: str, engine: str) -> float | None:
        """Median tokens per second; None where it was not measured."""
        speeds = self.repeats[workload].get(engine)
        return median(speeds) if speeds else None

    def ratio(self, workload: str, engine: str, other: str) -> float | None:
        """How many times as fast as `other` an engine is; None where either was not measured."""
        speed, others = self.speed(workload, engine), self.speed(workload, other)
        return None if speed is None or others is None else speed / others

    @property
    def engines(self) -> list[str]:
        """Those that were measured, in the order in which they took turns."""
        return list(dict.fromkeys(engine for its in self.repeats.values() for engine in its))

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": dataclasses.asdict(self.machine),
            "model": dict(self.model),
            "about": {workload: dict(about) for workload, about in self.about.items()},
            "workloads": {
                workload: {engine: median(speeds) for engine, speeds in its.items()}
                for workload, its in self.repeats.items()
            },
            "repeats": {workload: dict(its) for workload, its in self.repeats.items()},
            "left_out": dict(self.left_out),
            "provenance": {
                workload: dataclasses.asdict(its) for workload, its in self.provenance.items()
            },
            "growth": None if self.growth is None else self.growth.to_json(),
            "policy_cost": {
                workload: cost.to_json() for workload, cost in self.policy_cost.items()
            },
            "controls": None if self.controls is None else self.controls.to_json(),
            "prefixes": {kind: figure.to_json() for kind, figure in self.prefixes.items()},
            "memory": None if self.memory is None else dataclasses.asdict(self.memory),
        }
