"""With the policy and without: fresh processes, whose engines say which it was."""

from __future__ import annotations

import pytest
import torch

from bench.config import BenchConfig
from bench.errors import BenchError
from bench.fresh_process import run_fresh
from bench.policy_cost import measure_policy_cost

CONFIG = BenchConfig(repeats=2, is_quick=True)


def test_the_policy_is_off_in_every_other_process_and_each_goes_first_in_turn() -> None:
    progress: list[str] = []
    costs = measure_policy_cost(CONFIG, progress.append)
    assert [line.split()[2] for line in progress] == ["on,", "off,", "off,", "on,"]
    assert costs.keys() == {"samples", "singles"}
    for cost in costs.values():
        assert len(cost.on) == len(cost.off) == CONFIG.repeats
        assert min(cost.on + cost.off) > 0
        assert cost.policies["off"] == "none"


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")
def test_mkl_is_strict_unless_its_variable_is_empty() -> None:
    """The engine asks MKL itself. Without padding, MKL's mode is all of the policy."""
    torchs_way = {"ROWMILL_KERNELS": "torch"}
    shipped = run_fresh("bench.policy_turn", CONFIG, torchs_way, row_tile=1)
    empty = run_fresh("bench.policy_turn", CONFIG, {**torchs_way, "MKL_CBWR": ""}, row_tile=1)
    assert (shipped["policy"], empty["policy"]) == ("mkl-strict", "none")


def test_a_process_that_fails_tells_why() -> None:
    with pytest.raises(BenchError, match="nobody"):
        run_fresh("bench.resident", CONFIG, peer="nobody")
