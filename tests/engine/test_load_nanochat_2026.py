"""Checkpoints of nanochat since March 2026 load whole; a mix of versions is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine import ModelError
from engine.models import load_model
from engine.models.nanochat import GPT, GPT2026
from tests.engine.models import random_model
from tests.engine.nanochat_cases import CASES
from tests.engine.runs import request, run_all

CASE = CASES["groups"]
MAPS = Path("/proc/self/maps")
CONFIG = dataclasses.asdict(CASE.config)


def write(folder: Path, weights: dict[str, Tensor], config: dict[str, Any]) -> Path:
    torch.save(weights, folder / "model_000010.pt")
    (folder / "meta_000010.json").write_text(json.dumps({"model_config": config}))
    return folder


def weights() -> dict[str, Tensor]:
    return dict(CASE.model().state_dict())


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    model, _ = load_model(write(tmp_path, weights(), CONFIG))
    assert isinstance(model, GPT2026)
    assert model.config == CASE.config
    prompt = request("a", [1, 2, 3], num_samples=2, max_tokens=20)
    assert run_all(model, [prompt]) == run_all(CASE.model(), [prompt])


def test_embeddings_saved_in_half_precision_become_of_one_dtype_with_the_rest(
    tmp_path: Path,
) -> None:
    """So nanochat saves what it trained on a GPU."""
    halved = {
        name: value.bfloat16() if "wte" in name or "value_embeds" in name else value
        for name, value in weights().items()
    }
    model, _ = load_model(write(tmp_path, halved, CONFIG))
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert torch.equal(model.transformer.wte.weight, halved["transformer.wte.weight"].float())


def test_the_version_of_2025_is_told_apart_by_its_config(tmp_path: Path) -> None:
    older = random_model()
    config = dataclasses.asdict(older.config)
    assert type(load_model(write(tmp_path, dict(older.state_dict()), config))[0]) is GPT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_pattern": None}, "window_pattern must be letters S and L, not None"),
        ({"window_pattern": ""}, "window_pattern must be letters S and L, not ''"),
        ({"window_pattern": "SXL"}, "window_pattern must be letters S and L, not 'SXL'"),
        ({"window_pattern": ["S"]}, "window_pattern must be letters S and L"),
        ({"n_embd": 16}, "n_embd must be at least 24"),
        ({"n_head": 5}, "n_head must divide n_embd"),
        ({"n_layer": 0}, "n_layer must be an integer from 1"),
        ({"smear": True}, "fields this architecture lacks: smear"),
        ({"n_layer": 3}, r"lacks .*value_embeds\.0\.weight"),
        ({"n_kv_head": 4}, r"attn\.c_k\.weight is \[32, 64\], model_config says \[64, 64\]"),
    ],
)
def test_a_config_that_does_not_fit_is_explained(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(write(tmp_path, weights(), CONFIG | changes))


@pytest.mark.parametrize("name", ["smear_lambda", "resid_lambdas", "value_embeds.3.weight"])
def test_a_version_in_between_is_refused_by_what_it_lacks(tmp_path: Path, name: str) -> None:
    fewer = {key: value for key, value in weights().items() if key != name}
    with pytest.raises(ModelError, match=f"lacks {name}; .* nanochat since March 2026"):
        load_model(write(tmp_path, fewer, CONFIG))


def test_gates_of_another_width_are_named(tmp_path: Path) -> None:
    """As before March 2026."""
    name = "transformer.h.1.attn.ve_gate.weight"
    with pytest.raises(ModelError, match=r"ve_gate\.weight is \[2, 32\].* says \[2, 12\]"):
        load_model(write(tmp_path, weights() | {name: torch.ones(2, 32)}, CONFIG))


def test_weights_of_2026_under_a_config_of_2025_are_refused(tmp_path: Path) -> None:
    config = {name: value for name, value in CONFIG.items() if name != "window_pattern"}
    with pytest.raises(ModelError, match=r"another architecture: it has backout_lambda.* of 2025"):
        load_model(write(tmp_path, weights(), config))


@pytest.mark.skipif(not MAPS.exists(), reason="this system does not tell what is mapped")
def test_weights_are_the_files_own_bytes_where_they_need_no_change(tmp_path: Path) -> None:
    model, _ = load_model(write(tmp_path, weights(), CONFIG))
    assert "model_000010.pt" in mapping_of(model.transformer.wte.weight)


def mapping_of(weight: Tensor) -> str:
    """The line of the process's memory map that holds a tensor."""
    for line in MAPS.read_text().splitlines():
        first, last = (int(its, 16) for its in line.split()[0].split("-"))
        if first <= weight.data_ptr() < last:
            return line
    raise AssertionError("a tensor outside of memory")
