"""Which kernels run can be chosen, is recorded, and breaks no promise.

In processes of their own, as the choice is read once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models.packed import AttentionRule
from engine.native import Library
from engine.native_attention_trials import native_attention_trials
from tests.engine.kernels import kernels, needs_kernels
from tests.engine.models import random_model

ROOT = Path(__file__).parents[2]
PROGRAM = """
from tests.engine.models import random_model
from tests.engine.runs import new_engine
print(new_engine(random_model()).provenance.kernels)
"""


def run(choice: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "ROWMILL_KERNELS": choice},
        capture_output=True,
        text=True,
    )


@needs_kernels
@pytest.mark.parametrize("choice", ["", "native", "torch"])
def test_the_choice_is_recorded(choice: str) -> None:
    result = run(choice, "-c", PROGRAM)
    kind, _, build = result.stdout.strip().partition("-")
    assert kind == (choice or "native"), result.stderr
    assert bool(build) == (kind == "native")


@pytest.mark.parametrize("choice", ["Torch", "none", "1"])
def test_an_unknown_choice_is_refused_by_name(choice: str) -> None:
    result = run(choice, "-c", PROGRAM)
    assert result.returncode != 0
    expected = f"EngineError: ROWMILL_KERNELS must be native or torch, not {choice!r}"
    assert result.stderr.splitlines()[-1].endswith(expected)


@needs_kernels  # else all other tests show it
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tests",
    [
        "tests/engine/test_row_identity.py",
        "tests/engine/test_prefix_cache.py",
        "tests/engine/test_probe.py::test_the_models_that_are_shipped_and_tested_are_invariant_here",
    ],
)
def test_torchs_way_keeps_the_promise_too(tests: str) -> None:
    result = run("torch", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert result.returncode == 0, result.stdout


class FaultyKernels(Library):
    """Spoils what the batch's first token gets, where several groups of queries share the call."""

    def __init__(self, real: Library) -> None:
        self._real = real

    def attend(self, *arguments: int) -> None:
        self._real.attend(*arguments)
        num_groups, out = arguments[2], arguments[8]
        if num_groups > 1:
            self._real.relu_square(out, 1, 8, 1)


@needs_kernels
def test_the_probe_finds_a_kernel_that_looks_at_its_company() -> None:
    rules = [AttentionRule(scale=0.2), AttentionRule(scale=0.3, window=40, softcap=2.0)]
    for shape in (random_model().shape, random_model(rules=rules).shape):
        for trial in native_attention_trials(kernels(), shape):
            assert trial.differing_sizes() == frozenset(), trial.name
        for trial in native_attention_trials(FaultyKernels(kernels()), shape):
            assert trial.differing_sizes(), trial.name
