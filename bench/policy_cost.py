"""What reproducibility costs: the speed with the engine's policy, and without one.

Measured where there is something to switch off: in torch's way, with the native kernels left out on
both sides. The kernels need no policy; their products keep a row's bits by their order of sums.
"""

from __future__ import annotations

import dataclasses
from statistics import median
from typing import Any

from bench.config import BenchConfig
from bench.fresh_process import run_fresh
from bench.policy_turn import WORKLOADS, PolicyTurn
from bench.turns import Progress

_TORCHS_WAY = {"ROWMILL_KERNELS": "torch"}
# Empty, MKL takes its variable for unset, while the engine takes it for set and leaves it alone.
_NO_CBWR = {"MKL_CBWR": ""}
_NO_PADDING = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCost:
    """Of one workload: tokens per second, once per process."""

    on: list[float]
    off: list[float]
    policies: dict[str, str]
    """What the engine called its policy, "on" and "off". Where they are the same, as in dtypes
    that need no measure, the cost is noise."""

    @property
    def ratio(self) -> float:
        """Median speed with the policy, relative to that without."""
        return median(self.on) / median(self.off)

    def to_json(self) -> dict[str, Any]:
        return {
            "on": median(self.on),
            "off": median(self.off),
            "cost": 1 - self.ratio,
            "repeats": {"on": self.on, "off": self.off},
            "policies": self.policies,
        }


def measure_policy_cost(config: BenchConfig, progress: Progress) -> dict[str, PolicyCost]:
    """Per workload. Fresh processes take turns in pairs, and each goes first in every other pair.

    Raises BenchError where one fails.
    """
    turns: dict[str, list[PolicyTurn]] = {"on": [], "off": []}
    for pair in range(config.repeats):
        for side in ("on", "off") if pair % 2 == 0 else ("off", "on"):
            progress(f"policy cost: {side}, process {pair + 1} of {config.repeats}")
            turns[side].append(_turn(side, config))
    policies = {side: its[0].policy for side, its in turns.items()}
    return {
        workload: PolicyCost(
            on=[turn.speeds[workload] for turn in turns["on"]],
            off=[turn.speeds[workload] for turn in turns["off"]],
            policies=policies,
        )
        for workload in WORKLOADS
    }


def _turn(side: str, config: BenchConfig) -> PolicyTurn:
    module = "bench.policy_turn"
    if side == "on":
        return PolicyTurn(**run_fresh(module, config, _TORCHS_WAY, row_tile=None))
    environment = {**_TORCHS_WAY, **_NO_CBWR}
    return PolicyTurn(**run_fresh(module, config, environment, row_tile=_NO_PADDING))
