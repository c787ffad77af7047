"""A nanochat checkpoint loads whole, or a ModelError says what is wrong with it."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine import Engine, ModelError
from engine.models import DEMO, load_model
from engine.models.load import model_folder
from engine.models.nanochat import GPT
from tests.engine.models import random_model
from tests.engine.runs import request, run_all
from vocab import SPECIAL_TOKENS, ByteTokenizer

CONFIG = {
    "sequence_len": 32,
    "vocab_size": 70,
    "n_layer": 2,
    "n_head": 4,
    "n_kv_head": 2,
    "n_embd": 32,
}


def a_model(seed: int = 0) -> GPT:
    return random_model(4, 2, 8, 2, 70, sequence_len=32, seed=seed)


def write(folder: Path, weights: Any = None, meta: Any = None, step: int = 10) -> Path:
    """A checkpoint; what isn't given is that of a sound one."""
    folder.mkdir(exist_ok=True)
    torch.save(a_model().state_dict() if weights is None else weights, model_file(folder, step))
    meta_file(folder, step).write_text(json.dumps({"model_config": CONFIG} | (meta or {})))
    return folder


def model_file(folder: Path, step: int = 10) -> Path:
    return folder / f"model_{step:06d}.pt"


def meta_file(folder: Path, step: int = 10) -> Path:
    return folder / f"meta_{step:06d}.json"


def assert_same_weights(loaded: GPT, model: GPT) -> None:
    weights = model.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_what_was_saved_is_what_is_loaded(tmp_path: Path, prefix: str) -> None:
    write(tmp_path, {prefix + name: value for name, value in a_model().state_dict().items()})
    model, tokenizer = load_model(tmp_path)
    assert_same_weights(model, a_model())
    assert tokenizer is None
    prompt = request("a", [1, 2, 3], num_samples=2, max_tokens=20)
    assert run_all(model, [prompt]) == run_all(a_model(), [prompt])


def test_loading_reports_what_it_took(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rowmill.engine"):
        load_model(write(tmp_path), dtype="bfloat16")
    (line,) = (record.message for record in caplog.records)
    for word in (str(tmp_path), "nanochat of 2025", "million", "bfloat16", " s ", "MiB"):
        assert word in line


def test_without_a_tokenizer_rows_run_on_token_ids_to_their_length(tmp_path: Path) -> None:
    model, tokenizer = load_model(write(tmp_path))
    assert tokenizer is None
    rows = run_all(model, [request("a", [69, 0], num_samples=3, max_tokens=30)], tokenizer)["a"]
    assert [(len(row.tokens), row.finish_reason) for row in rows] == [(30, "length")] * 3


def test_the_newest_step_is_chosen(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000, 20):
        write(tmp_path, a_model(seed=step).state_dict(), step=step)
    assert_same_weights(load_model(tmp_path)[0], a_model(seed=1_000_000))


def test_the_tokenizer_is_the_one_the_meta_file_names_or_the_one_given(tmp_path: Path) -> None:
    assert isinstance(load_model(write(tmp_path, meta={"tokenizer": "byte"}))[1], ByteTokenizer)
    given = ByteTokenizer()
    assert load_model(write(tmp_path, meta={"tokenizer": "byte"}), tokenizer=given)[1] is given


def test_weights_of_another_dtype_are_cast(tmp_path: Path) -> None:
    write(tmp_path, {name: w.bfloat16() for name, w in a_model().state_dict().items()})
    assert load_model(tmp_path)[0].lm_head.weight.dtype == torch.float32
    assert load_model(tmp_path, dtype="bfloat16")[0].lm_head.weight.dtype == torch.bfloat16
    assert load_model(tmp_path, dtype=torch.float64)[0].lm_head.weight.dtype == torch.float64


def test_demo_names_the_shipped_model() -> None:
    model, tokenizer = load_model(DEMO)
    assert isinstance(tokenizer, ByteTokenizer)
    assert model.config.vocab_size == tokenizer.get_vocab_size()
    assert sum(file.stat().st_size for file in model_folder(DEMO).iterdir()) < 5_000_000


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent is not a folder"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"no config\.json and no model_<step>\.pt"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "\x00", "[" * 100_000, "[]", "null", "{}", '{"model_config": [1]}']
)
def test_a_broken_meta_file_is_named(tmp_path: Path, text: str) -> None:
    meta_file(write(tmp_path)).write_text(text)
    with pytest.raises(ModelError, match=r"meta_000010\.json"):
        load_model(tmp_path)


def test_a_meta_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    meta_file(write(tmp_path)).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"meta_000010\.json can't be read"):
        load_model(tmp_path)
    meta_file(tmp_path).unlink()
    with pytest.raises(ModelError, match=r"meta_000010\.json is missing"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", CONFIG)
def test_a_missing_config_field_is_named(tmp_path: Path, name: str) -> None:
    config = {key: value for key, value in CONFIG.items() if key != name}
    with pytest.raises(ModelError, match=f"model_config lacks {name}"):
        load_model(write(tmp_path, meta={"model_config": config}))


@pytest.mark.parametrize("value", [None, "4", 4.0, True, 0, -1, 2**40, [4]])
@pytest.mark.parametrize("name", ["n_layer", "vocab_size"])
def test_a_mistyped_config_field_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ModelError, match=f"model_config.{name} must be an integer from 1"):
        load_model(write(tmp_path, meta={"model_config": CONFIG | {name: value}}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rope_base": 10_000}, "fields this architecture lacks: rope_base"),
        ({"window_pattern": "SSSL"}, "lacks backout_lambda.*; .* nanochat since March 2026"),
        ({"n_head": 5}, "n_head must divide n_embd"),
        ({"n_kv_head": 3}, "n_kv_head n_head"),
        ({"n_kv_head": 8}, "n_kv_head n_head"),
        ({"n_embd": 36}, "must be even"),
        ({"n_layer": 3}, r"model_000010\.pt lacks transformer\.h\.2\.attn\.c_k\.weight"),
        ({"n_layer": 1}, r"another architecture: it has transformer\.h\.1\."),
        ({"vocab_size": 129}, r"wte\.weight is \[128, 32\], model_config says \[192, 32\]"),
        ({"n_kv_head": 4}, r"attn\.c_k\.weight is \[16, 32\], model_config says \[32, 32\]"),
    ],
)
def test_a_config_that_does_not_fit_is_explained(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(write(tmp_path, meta={"model_config": CONFIG | fields}))


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    weights = {**a_model().state_dict(), **changes}
    return {name: value for name, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (changed(**{"lm_head.weight": None}), r"lacks lm_head\.weight"),
        (changed(resid_lambdas=torch.ones(2)), "it has resid_lambdas; .* nanochat of 2025"),
        (changed(**{"lm_head.weight": torch.ones(128)}), r"lm_head\.weight is \[128\]"),
        (changed(**{"lm_head.weight": torch.ones(128, 32).long()}), "holds torch.int64"),
        ({}, "lacks .* and 11 more"),
        ([1, 2], "not a state dict of tensors"),
        ({"lm_head.weight": 1.0}, "not a state dict of tensors"),
        (torch.ones(3), "not a state dict of tensors"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, weights: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(write(tmp_path, weights))


@pytest.mark.parametrize("size", [0, 1, 1000, -100, -1])
def test_truncated_weights_are_named(tmp_path: Path, size: int) -> None:
    file = model_file(write(tmp_path))
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"model_000010\.pt can't be read"):
        load_model(tmp_path)


class RunsCode:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._marker),)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    write(tmp_path, {"lm_head.weight": RunsCode(marker)})
    with pytest.raises(ModelError, match=r"model_000010\.pt can't be read"):
        load_model(tmp_path)
    model_file(tmp_path).write_bytes(pickle.dumps(RunsCode(marker)))
    with pytest.raises(ModelError, match=r"model_000010\.pt can't be read"):
        load_model(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["klingon", 3])
def test_an_unknown_tokenizer_is_named(tmp_path: Path, name: object) -> None:
    with pytest.raises(ModelError, match=f"tokenizer.*{name}"):
        load_model(write(tmp_path, meta={"tokenizer": name}))


@pytest.mark.parametrize("device", ["nonsense", "meta", 3.5, None])
def test_an_unknown_device_is_named(device: Any) -> None:
    with pytest.raises(ModelError, match=r"^device: "):
        load_model(DEMO, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"^device: cuda"):
        load_model(DEMO, device="cuda")


@pytest.mark.parametrize("dtype", ["int32", "nonsense", "device", torch.int8, 3])
def test_a_dtype_that_is_no_float_is_named(dtype: Any) -> None:
    with pytest.raises(ModelError, match=r"^dtype: "):
        load_model(DEMO, dtype=dtype)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused() -> None:
    model, _ = load_model("demo")
    tokenizer = ByteTokenizer(special_tokens=[*SPECIAL_TOKENS, "<|one_more|>"])
    with pytest.raises(ModelError, match="tokenizer has 266 tokens and the model 265"):
        Engine(model, tokenizer)
