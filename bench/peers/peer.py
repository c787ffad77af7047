"""What is measured: an engine with a model, ready to run workloads."""

from __future__ import annotations

from typing import Protocol

from bench.workload import Workload


class Peer(Protocol):
    name: str

    def run(self, workload: Workload) -> int:
        """Run a workload to its end; returns how many tokens were generated.

        Raises BenchError where it can't."""
