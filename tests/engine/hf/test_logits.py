"""Packed logits are those of transformers' eager attention, in every dtype that is run."""

from __future__ import annotations

import logging

import pytest
import torch

from engine.models import load_model
from engine.models.hf.model import TransformersModel, packed_logits
from engine.models.hf.recording import RecordedCalls
from tests.engine.hf.conftest import Checkpoint
from tests.engine.hf.families import FAMILIES, VOCAB_SIZE, WINDOW, reference

LENGTHS = (31, 1, 12)
NEVER_LESS_THAN = 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_within_1e_5_of_eager_attention(checkpoint: Checkpoint, family: str) -> None:
    model, _ = load_model(checkpoint(family))
    assert isinstance(model, TransformersModel)
    theirs = reference(checkpoint(family))
    generator = torch.Generator().manual_seed(5)
    sequences = [torch.randint(VOCAB_SIZE, (n,), generator=generator) for n in LENGTHS]
    calls = RecordedCalls(LENGTHS, torch.device("cpu"))
    positions = torch.cat([torch.arange(n) for n in LENGTHS])

    with torch.inference_mode():
        ours = packed_logits(model.model, torch.cat(sequences), positions, calls)
        expected = torch.cat([theirs(its[None], use_cache=False).logits[0] for its in sequences])

    scale = max(expected.abs().max().item(), NEVER_LESS_THAN)
    assert (ours - expected).abs().max().item() <= 1e-5 * scale


@pytest.mark.parametrize(
    ("family", "windows", "softcap"),
    [
        ("llama", [None, None], None),
        ("mistral", [WINDOW, WINDOW], None),
        ("gemma2", [WINDOW, None], 2.0),
        ("gemma3_text", [WINDOW, None], None),
    ],
)
def test_the_rules_are_what_the_layers_ask_for(
    checkpoint: Checkpoint, family: str, windows: list[int | None], softcap: float | None
) -> None:
    rules = load_model(checkpoint(family))[0].shape.rules
    assert [rule.window for rule in rules] == windows
    assert [rule.softcap for rule in rules] == [softcap] * 2


def test_a_scale_of_the_models_own_is_taken(checkpoint: Checkpoint) -> None:
    assert [rule.scale for rule in load_model(checkpoint("granite"))[0].shape.rules] == [0.2] * 2
    assert [rule.scale for rule in load_model(checkpoint("opt"))[0].shape.rules] == [1.0] * 2


def test_narrower_values_are_kept_as_wide_as_keys(checkpoint: Checkpoint) -> None:
    shape = load_model(checkpoint("deepseek_v3"))[0].shape
    assert (shape.head_dim, shape.num_kv_heads) == (12, 4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "auto", torch.float64])
def test_weights_are_loaded_in_the_dtype_that_is_asked_for(
    checkpoint: Checkpoint, dtype: str | torch.dtype
) -> None:
    model, _ = load_model(checkpoint("llama"), dtype=dtype)
    expected = {"auto": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    wanted = dtype if isinstance(dtype, torch.dtype) else expected.get(dtype, torch.float32)
    assert {its.dtype for its in model.parameters()} == {model.dtype} == {wanted}


def test_loading_reports_what_it_took(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[float] = []
    with caplog.at_level(logging.INFO, "rowmill.engine"):
        load_model(checkpoint("qwen3"), progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0
    (line,) = (record.message for record in caplog.records)
    for word in ("qwen3", "float32", " s ", "MiB", "eager attention"):
        assert word in line
