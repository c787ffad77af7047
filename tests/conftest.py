"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Where tests run side by side, torch's threads outnumber the CPUs: one that waits for another had
# better sleep at once, as its spinning keeps the other from its work. Half of all time went there.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["GOMP_SPINCOUNT"] = "0"  # pytest's first process has set the engine's value by now

import engine  # noqa: F401  (before any test imports torch: it prepares torch's environment)

# No test asserts a time, and a loaded machine is no failure.
settings.register_profile(
    "rowmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("rowmill")


def pytest_addoption(parser: pytest.Parser) -> None:
    soak = parser.getgroup("soak", "tests/engine/test_soak.py")
    soak.addoption(
        "--soak-steps", type=int, default=3_000, help="engine steps to make (%(default)s)"
    )
    soak.addoption("--soak-seed", type=int, default=0, help="the first search's seed (%(default)s)")
    streams = parser.getgroup("streams", "tests/integration/test_gateway_soak.py")
    streams.addoption(
        "--soak-streams", type=int, default=50, help="of a round, at once (%(default)s)"
    )
    streams.addoption("--soak-rounds", type=int, default=6, help="to measure (%(default)s)")
    chaos = parser.getgroup("chaos", "tests/integration/chaos/test_chaos.py")
    chaos.addoption(
        "--chaos-seconds", type=float, default=25, help="how long to push jobs (%(default)s)"
    )
    chaos.addoption("--chaos-rate", type=float, default=50, help="jobs per second (%(default)s)")
    chaos.addoption("--chaos-workers", type=int, default=3, help="workers at once (%(default)s)")
    chaos.addoption("--chaos-seed", type=int, default=0, help="of faults and jobs (%(default)s)")
    kill = parser.getgroup("kill", "tests/integration/test_sample_kill.py")
    kill.addoption(
        "--kill-stride", type=int, default=15, help="calls from kill to kill (%(default)s)"
    )
    storm = parser.getgroup("storm", "tests/integration/chaos/test_sample_storm.py")
    storm.addoption(
        "--sample-prompts", type=int, default=0, help="of a long storm (none: no long storm)"
    )
    storm.addoption("--sample-rows", type=int, default=8, help="rows of each (%(default)s)")
    storm.addoption("--sample-seed", type=int, default=0, help="of kills and prompts (%(default)s)")
