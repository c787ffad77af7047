"""A result tells what has to be the same for its rows to come out again."""

from __future__ import annotations

import dataclasses
import pickle
import re
from typing import Any

import pytest
import torch

from engine import Engine, Provenance
from engine.fingerprint import fingerprint
from engine.models import load_model
from engine.models.nanochat import GPT
from engine.native import are_missing
from tests.engine.models import ScriptedModel, random_model
from tests.engine.runs import new_engine, request


def provenance_in_results(engine: Engine) -> list[Provenance | None]:
    for name in "ab":
        engine.submit(request(name, [1], 2, max_tokens=2))
    results = []
    while engine.has_work:
        results += engine.step()
    assert len(results) == 2
    assert all(result.reproducible == engine.is_invariant for result in results)
    return [result.provenance for result in results]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_result_carries_what_is_needed_to_repeat_it(dtype: str) -> None:
    model, _ = load_model("demo", dtype=dtype)
    engine = new_engine(model)
    one, other = provenance_in_results(engine)
    assert one is other is engine.provenance
    assert one.model == fingerprint(model) and re.fullmatch("[0-9a-f]{64}", one.model)
    assert (one.dtype, one.sampler, one.reproducible) == (dtype, 1, engine.is_invariant)
    assert one.versions["torch"] == torch.__version__
    assert set(one.versions) == {"rowmill", "torch", "numpy"}
    assert one.device and one.policy
    is_native = dtype == "float32" and not are_missing()
    assert one.kernels.startswith("native-v" if is_native else "torch")
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_model_without_parameters_has_no_fingerprint() -> None:
    one, _ = provenance_in_results(new_engine(ScriptedModel(1, [5])))
    assert one is not None
    assert (one.model, one.dtype, one.reproducible) == (None, None, False)


def test_the_tile_that_was_set_is_what_is_recorded() -> None:
    found = {tile: new_engine(random_model(), row_tile=tile).provenance.policy for tile in (1, 16)}
    assert found[16] == (f"{found[1]}+tile-16" if found[1] != "none" else "tile-16")


def test_two_loads_of_a_model_have_one_fingerprint() -> None:
    one, other = (fingerprint(load_model("demo")[0]) for _ in range(2))
    assert one == other
    assert fingerprint(random_model()) == fingerprint(random_model())


def flip_a_bit(model: GPT) -> None:
    model.transformer.h[1].mlp.c_proj.weight.view(torch.int32)[3, 5] ^= 1


def flip_a_bit_of_a_buffer(model: GPT) -> None:
    model.cos.view(torch.int16)[7, 1] ^= 1


def rename(model: GPT) -> None:
    one, other = model.transformer.h
    one.mlp, other.mlp = other.mlp, one.mlp


def recast(model: GPT) -> None:
    model.to(torch.float64)


def reshape(model: GPT) -> None:
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.view(64, -1), False)


@pytest.mark.parametrize("change", [flip_a_bit, flip_a_bit_of_a_buffer, rename, recast, reshape])
def test_whatever_may_change_a_row_changes_the_fingerprint(change: Any) -> None:
    model = random_model()
    before = fingerprint(model)
    with torch.inference_mode():
        change(model)
    assert fingerprint(model) != before


def test_the_class_and_the_configuration_are_in_the_fingerprint() -> None:
    assert fingerprint(random_model()) != fingerprint(random_model(is_chaotic=True))
    model = random_model()
    model.config = dataclasses.replace(model.config, n_head=2)
    assert fingerprint(model) != fingerprint(random_model())


def test_where_a_weight_is_laid_out_in_memory_is_not() -> None:
    model = random_model()
    before = fingerprint(model)
    weight = model.lm_head.weight
    model.lm_head.weight = torch.nn.Parameter(weight.T.contiguous().T, False)
    assert fingerprint(model) == before
