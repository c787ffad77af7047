"""What would be wrong in silence is refused at load, with the reason."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import Engine, ModelError
from engine.models import load_model
from engine.models.hf.check import check_layers, check_windows
from engine.models.hf.guards import check_config, max_seq_len
from engine.models.hf.recording import RecordedCalls
from tests.engine.hf.conftest import Checkpoint
from tests.engine.hf.families import CONTEXT, FAMILIES, REFUSED, write_checkpoint
from vocab import ByteTokenizer

WEIGHTS = "model.safetensors"


def copy_of(folder: Path, tmp_path: Path, **changes: Any) -> Path:
    """A checkpoint with other fields in its config.json."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = copy / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    return copy


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_that_is_not_run_is_refused_with_the_reason(
    checkpoint: Checkpoint, family: str
) -> None:
    with pytest.raises(ModelError, match=REFUSED[family][1]) as error:
        load_model(checkpoint(family))
    assert family in str(error.value)


def test_a_model_that_mixes_positions_is_refused(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a mask of its own, say, or a convolution: nothing that a config would tell."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    plain = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: plain(self, x + x.roll(1, dims=1)))
    with pytest.raises(ModelError, match="gives other logits when sequences share a batch"):
        load_model(checkpoint("llama"))


def test_a_model_with_a_bias_on_its_scores_is_refused() -> None:
    calls = RecordedCalls((3,), torch.device("cpu"))
    x = torch.zeros(3, 2, 4)
    for options in (
        {"s_aux": x},
        {"position_bias": x},
        {"attention_mask": x},
        {"is_causal": False},
    ):
        with pytest.raises(ModelError, match=next(iter(options))):
            calls(None, x, x, x, options)


def test_layers_that_differ_in_their_heads_are_refused() -> None:
    calls = RecordedCalls((3,), torch.device("cpu"))
    for heads in (2, 4):
        x = torch.zeros(3, heads, 4)
        calls(object(), x, x, x, {})
    with pytest.raises(ModelError, match="heads differ"):
        check_layers(calls.calls, 2)
    with pytest.raises(ModelError, match="exactly one call per layer"):
        check_layers(calls.calls, 3)


def test_a_window_that_attention_is_not_told_is_refused() -> None:
    """The load check's sequences may be shorter than a window, and so can't show it."""

    class Config:
        sliding_window = 4096

    calls = RecordedCalls((3,), torch.device("cpu"))
    x = torch.zeros(3, 2, 4)
    calls(object(), x, x, x, {"sliding_window": 4096})
    check_windows(calls.calls, Config())
    calls(object(), x, x, x, {})
    with pytest.raises(ModelError, match="does not tell its attention the windows"):
        check_windows(calls.calls, Config())


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope"])
def test_rotary_frequencies_never_change_with_the_batch(tmp_path: Path, rope_type: str) -> None:
    """transformers changes them for all, once one position is beyond the original length."""
    rope: dict[str, Any] = {"rope_type": rope_type, "rope_theta": 10_000.0, "factor": 4.0}
    rope["original_max_position_embeddings"] = 32
    if rope_type == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    fields = FAMILIES["llama"] | {"rope_parameters": rope}
    model, _ = load_model(write_checkpoint("llama", fields, tmp_path))
    assert model.shape.max_seq_len == 32


def test_a_plain_context_is_the_models(checkpoint: Checkpoint) -> None:
    assert load_model(checkpoint("gpt2"))[0].shape.max_seq_len == CONTEXT


def test_configs_of_other_kinds_of_models_are_refused() -> None:
    from transformers import AutoConfig

    with pytest.raises(ModelError, match="encoder"):
        check_config(AutoConfig.for_model("t5"))
    with pytest.raises(ModelError, match="max_position_embeddings"):
        max_seq_len(AutoConfig.for_model("bloom"))


def test_transformers_missing_is_told(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint("llama")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'rowmill\[hf\]'"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "rowboat"}, "rowboat"),
        ({"model_type": None}, "names no model_type"),
        ({"hidden_size": 48}, r"lm_head.weight is \[\d+, \d+\], and by config.json \[\d+, 48\]"),
        ({"vocab_size": 48}, r"lm_head.weight is \[\d+, \d+\], and by config.json \[48, \d+\]"),
        ({"num_hidden_layers": 1}, "unknown weights: model.layers.1"),
        ({"num_hidden_layers": 3}, "lacks weights: model.layers.2"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "is quantized"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        load_model(copy_of(checkpoint("llama"), tmp_path, **changes))


def test_a_config_that_is_no_json_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copy_of(checkpoint("llama"), tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json can't be read"):
        load_model(folder)


def test_pickled_weights_are_never_read(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copy_of(checkpoint("llama"), tmp_path)
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickles only"):
        load_model(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="holds no model"):
        load_model(folder)


def test_weights_in_shards_are_read_and_a_missing_shard_is_named(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = copy_of(checkpoint("llama"), tmp_path)
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(weights)
    files = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(names)}
    for file in set(files.values()):
        part = {name: weights[name] for name in names if files[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": files}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    assert load_model(folder)[0].shape.num_layers == 2

    second = folder / "model-00002-of-00002.safetensors"
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"model-00002-of-00002\S* is cut short"):
        load_model(folder)
    second.unlink()
    with pytest.raises(ModelError, match="lacks model-00002-of-00002"):
        load_model(folder)


def test_broken_weights_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copy_of(checkpoint("llama"), tmp_path)
    whole = (folder / WEIGHTS).read_bytes()
    for num_bytes in (0, 5, 1000, len(whole) - 1):
        (folder / WEIGHTS).write_bytes(whole[:num_bytes])
        with pytest.raises(ModelError, match="is cut short or damaged"):
            load_model(folder)


def test_weights_that_are_no_numbers_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copy_of(checkpoint("llama"), tmp_path)
    weights = load_file(folder / WEIGHTS)
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"logits that are no numbers in torch\.float32"):
        load_model(folder)


def test_transformers_says_nothing_beside_the_error(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers.utils import logging

    folder = copy_of(checkpoint("llama"), tmp_path, num_hidden_layers=3)
    logging.set_verbosity_warning()  # its own default
    logging.add_handler(caplog.handler)
    try:
        with pytest.raises(ModelError, match="lacks weights"):
            load_model(folder)
    finally:
        logging.remove_handler(caplog.handler)
        logging.set_verbosity_error()
    assert caplog.records == []


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(checkpoint: Checkpoint) -> None:
    model, tokenizer = load_model(checkpoint("llama"), tokenizer=ByteTokenizer())
    with pytest.raises(ModelError, match="it is another model's tokenizer"):
        Engine(model, tokenizer)
