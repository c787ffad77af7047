"""The probe finds what depends on company, and takes the cheapest policy that holds."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine import Engine, EngineConfig, mkl
from engine.invariance import ROW_TILES, UNPROBED_ROW_TILE, Policy
from engine.model_trials import product_trials
from engine.models import load_model
from engine.models.nanochat import GPT
from engine.models.packed import Attend
from engine.native import are_missing
from engine.native.library import library
from engine.probe import probe
from engine.trial import Trial
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import new_engine, prompt_of, request, run_all

Fault = Callable[[int], Tensor]
"""From a number of rows to what is added to each of them."""


class FaultyLinear(nn.Linear):
    """A layer whose results show what it was called with."""

    def __init__(self, layer: nn.Linear, fault: Fault) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False)
        self.weight = layer.weight
        self._fault = fault

    def forward(self, x_MC: Tensor) -> Tensor:
        return super().forward(x_MC) + self._fault(len(x_MC))[:, None]


def only_whole(tile: int) -> Fault:
    """All rows come out otherwise where the last tile is not full."""
    return lambda num_rows: torch.full((num_rows,), float(num_rows % tile != 0))


def in_whole_tiles(tile: int) -> Fault:
    """A row comes out otherwise if it is in a last tile that is not full."""

    def fault(num_rows: int) -> Tensor:
        return (torch.arange(num_rows) >= num_rows // tile * tile).float()

    return fault


def few(num_rows: int) -> Tensor:
    """Fewer than 100 rows come out otherwise."""
    return torch.full((num_rows,), float(num_rows < 100))


def by_place(num_rows: int) -> Tensor:
    return torch.arange(num_rows) % 3 * 1.0


def faulty_model(fault: Fault, *, is_chaotic: bool = False) -> GPT:
    """A model with one layer of many that has a fault."""
    model = random_model(is_chaotic=is_chaotic)
    mlp = model.transformer.h[1].mlp
    mlp.c_fc = FaultyLinear(mlp.c_fc, fault)
    return model


@pytest.mark.parametrize("fault", [only_whole, in_whole_tiles])
@pytest.mark.parametrize("tile", ROW_TILES)
def test_the_cheapest_tile_that_holds_is_taken_and_keeps_the_promise(
    fault: Callable[[int], Fault], tile: int
) -> None:
    model = faulty_model(fault(tile), is_chaotic=True)
    verdict = probe(model, 8)
    # Without a fault, that of the machine: MKL's strict mode needs none on Intel's processors.
    least = probe(faulty_model(lambda num_rows: torch.zeros(num_rows)), 8).policy.row_tile
    taken = max(tile, least)
    assert (verdict.policy.row_tile, verdict.failures, verdict.is_invariant) == (taken, (), True)
    mix = [request(str(n), prompt_of(9 * n + 1, n), n, max_tokens=4) for n in range(1, 5)]
    together = run_all(model, mix)
    for each in mix:
        assert run_all(model, [each], max_rows=1)[each.id] == together[each.id]


@pytest.mark.parametrize("fault", [few, by_place])
def test_a_layer_for_which_no_tile_holds_is_named_and_results_say_so(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    model = faulty_model(fault)
    verdict = probe(model, 8)
    assert verdict.policy.row_tile == ROW_TILES[-1]
    assert not verdict.is_invariant
    assert verdict.failures[0].startswith("linear 64x256 at 64")
    assert verdict.failures[1] == "the model's forward at 64 rows"

    engine = new_engine(model)
    assert "NOT reproducible" in caplog.text and verdict.failures[0] in caplog.text
    engine.submit(request("a", [1], max_tokens=1))
    (result,) = engine.step()
    assert result.error is None
    assert not result.reproducible and not engine.is_invariant


def test_a_tile_that_is_set_is_the_only_one_tried(caplog: pytest.LogCaptureFixture) -> None:
    model = faulty_model(only_whole(16))
    found = {tile: probe(model, 8, row_tile=tile) for tile in (1, 8, 16, 24, 48, 80)}
    assert {tile for tile, its in found.items() if its.is_invariant} == {16, 48, 80}
    assert all(its.policy.row_tile == tile for tile, its in found.items())
    assert Engine(model, None, EngineConfig(row_tile=48)).is_invariant
    assert not caplog.text
    assert not Engine(model, None, EngineConfig(row_tile=1)).is_invariant


class FaultyForward(GPT):
    """Has its fault outside of its layers."""

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None = None,
    ) -> Tensor:
        logits_NV = super().forward(tokens_T, positions_T, attend, logit_index_N)
        return logits_NV + len(tokens_T) % 8


def test_what_a_model_does_between_its_layers_is_tried_too() -> None:
    model = FaultyForward(random_model().config).requires_grad_(False)
    assert probe(model, 8).policy.row_tile == 8
    (failure,) = probe(model, 8, row_tile=4).failures
    assert failure.startswith("the model's forward at 4, 12, ")


class HalfwayLinear(nn.Linear):
    """Sums in another order for one row than for more; half precision rounds that away, mostly."""

    def forward(self, x_MC: Tensor) -> Tensor:
        x_MC, weight, middle = x_MC.float(), self.weight.float(), self.in_features // 2
        products_MNK = x_MC[:, None] * weight  # a matrix product may add its own differences
        if len(x_MC) > 1:
            return products_MNK.sum(-1).to(self.weight.dtype)
        halves = products_MNK[..., :middle].sum(-1), products_MNK[..., middle:].sum(-1)
        return (halves[0] + halves[1]).to(self.weight.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_half_precision_hides_no_order_of_sums(dtype: torch.dtype, bias: bool) -> None:
    layer = HalfwayLinear(64, 32, bias=bias).to(dtype)
    model = nn.Sequential(layer)
    assert [trial.differing_sizes() for trial in product_trials(model, 4, 4, 1)] == [{1}]


def trial(run: Callable[..., Tensor], *, num_rows: int = 20) -> Trial:
    rows = torch.arange(1.0, num_rows + 1)
    return Trial(name="a test", run=run, inputs=(rows, rows), sizes=(1, 2, 9, 20), is_tiled=False)


def test_a_trial_tells_at_which_sizes_bits_differ() -> None:
    assert trial(lambda a, b: a + b).differing_sizes() == frozenset()
    assert trial(lambda a, b: a + (len(b) == 9)).differing_sizes() == {9}
    assert trial(lambda a, b: a + 0 * b.sum()).differing_sizes() == frozenset()
    assert trial(lambda a, b: a + b.cumsum(0)).differing_sizes() == {1, 2, 9, 20}
    assert trial(lambda a, b: (a * 0).copysign(len(b) - 5)).differing_sizes() == {1, 2}
    assert trial(lambda a, b: a * torch.nan).differing_sizes() == frozenset()


def test_the_models_that_are_shipped_and_tested_are_invariant_here() -> None:
    """With the kernels, or on x86 with MKL; elsewhere the verdict may be another one."""
    if library() is None and not mkl.is_strict():
        pytest.skip("neither the kernels are there, nor a strict MKL")
    demo, _ = load_model("demo")
    for model in (demo, random_model(), random_model(6, 1, 10, 1, 67)):
        verdict = probe(model, 64)
        assert verdict.is_invariant, verdict.failures
        assert verdict.policy.is_mkl_strict == (library() is None)


class SeedModule(nn.Module):
    """nanochat's interface in an nn.Module, and a layer with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.config = random_model().config
        self.layer = FaultyLinear(nn.Linear(8, 8), fault)

    def get_device(self) -> str:
        return "cpu"

    def forward(self, *_: object) -> Tensor:
        raise AssertionError("the probe must not run it")


def test_a_model_that_attends_by_itself_is_not_verified_and_that_is_no_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for model in (SeedModel(random_model()), SeedModule(only_whole(4))):
        verdict = probe(model, 8)
        assert verdict.policy.row_tile == UNPROBED_ROW_TILE
        assert verdict.failures == () and not verdict.is_invariant
        assert verdict.unverified[0] == "the model's own attention"
        assert not new_engine(model).is_invariant
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert probe(SeedModule(by_place), 8).failures


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (Policy(row_tile=1, is_mkl_strict=False), "none"),
        (Policy(row_tile=1, is_mkl_strict=True), "mkl-strict"),
        (Policy(row_tile=16, is_mkl_strict=False), "tile-16"),
        (Policy(row_tile=16, is_mkl_strict=True), "mkl-strict+tile-16"),
        (Policy(row_tile=4, is_mkl_strict=True, mkl_branch="AVX2"), "mkl-avx2-strict+tile-4"),
        (Policy(row_tile=1, is_mkl_strict=False, mkl_branch="AVX2"), "mkl-avx2"),
    ],
)
def test_a_policy_has_a_name(policy: Policy, name: str) -> None:
    assert policy.name == name
    assert dataclasses.replace(policy).name == name


PROGRAM = """
import sys
if "late" in sys.argv:
    import torch
    torch.ones(2, 2) @ torch.ones(2, 2)
import json, logging
logging.disable()
from engine import mkl
from tests.engine.models import random_model
from tests.engine.runs import new_engine, prompt_of, request, run_all
found = []
for shape in [(4, 2, 16, 2, 131), (6, 6, 64, 1, 67)]:
    model = random_model(*shape, is_chaotic=True)
    mix = [request(str(n), prompt_of(n, n), n % 6 + 1, max_tokens=4) for n in (5, 64, 150)]
    alone = {each.id: run_all(model, [each], max_rows=1)[each.id] for each in mix}
    engine = new_engine(model)
    found.append([engine.provenance.policy, engine.is_invariant, run_all(model, mix) == alone])
print(json.dumps([mkl.is_strict(), found]))
"""


@pytest.mark.parametrize("kernels", ["torch", ""])
@pytest.mark.parametrize(
    ("setting", "when"),
    [
        ("AUTO,STRICT", "early"),
        ("AUTO", "early"),
        ("AVX2", "early"),
        (None, "early"),
        (None, "late"),
    ],
)
def test_what_is_claimed_is_so_however_mkl_was_set(
    setting: str | None, when: str, kernels: str
) -> None:
    """In processes of their own, as MKL is set once. Where our kernels multiply it is no matter."""
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    environment["ROWMILL_KERNELS"] = kernels
    if setting is not None:
        environment["MKL_CBWR"] = setting
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, when],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    is_strict, found = json.loads(result.stdout)
    assert len(found) == 2
    for policy, is_invariant, is_equal in found:
        assert is_equal or not is_invariant, policy
        if kernels == "torch" or are_missing():
            assert ("strict" in policy) == is_strict
        else:
            assert (policy, is_invariant) == ("none", True)
    if torch.backends.mkl.is_available():
        assert is_strict == (setting in (None, "AUTO,STRICT") and when == "early")
