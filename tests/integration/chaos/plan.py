"""How long a storm lasts, how hard it blows, and on whom."""

from __future__ import annotations

import dataclasses

import pytest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times are in seconds; a fault comes every so often on average."""

    seconds: float
    """For how long jobs are pushed; the storm goes on until the last of them has ended."""
    jobs_per_second: float
    num_workers: int
    seed: int
    lease: float = 3.0
    max_rows: int = 16
    """Of a worker: how many jobs may die with it."""
    kill_every: float = 1.0
    stop_every: float = 4.0
    cut_every: float = 0.5
    server_kill_every: float = 15.0
    report_every: float = 4.0
    """Between two runs of `rq info`."""

    @property
    def num_jobs(self) -> int:
        return round(self.seconds * self.jobs_per_second)

    @classmethod
    def from_options(cls, config: pytest.Config) -> Plan:
        return cls(
            seconds=config.getoption("--chaos-seconds"),
            jobs_per_second=config.getoption("--chaos-rate"),
            num_workers=config.getoption("--chaos-workers"),
            seed=config.getoption("--chaos-seed"),
        )
