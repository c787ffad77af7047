"""`load_model`: from a checkpoint's folder to a model and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from engine.checks import some_of
from engine.errors import ModelError
from engine.models import hf
from engine.models.checkpoint import find_checkpoint, read_weights
from engine.models.hf import TransformersModel
from engine.models.hf.progress import Progress
from engine.models.load_meter import LoadMeter
from engine.models.nanochat import GPT, GPT2026, GPTConfig, model_of, read_config
from vocab.conversation import render_question
from vocab.errors import TokenizerError
from vocab.hf import find_hf_tokenizer
from vocab.load import find_tokenizer
from vocab.tokenizer import Tokenizer

DEMO = "demo"
"""The name of the shipped model wherever a model is named."""

AUTO = "auto"
"""The dtype of the checkpoint itself, wherever a dtype is named."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def load_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    tokenizer: Tokenizer | None = None,
    progress: Progress | None = None,
) -> tuple[GPT | GPT2026 | TransformersModel, Tokenizer | None]:
    """Load a Hugging Face folder, the newest checkpoint of a nanochat folder, or `"demo"`.

    `"demo"` is the shipped model; a folder is Hugging Face's where it has a config.json. `dtype` is
    that of the weights: None takes float32 on a CPU and bfloat16 elsewhere, and `"auto"` that of
    the checkpoint. The tokenizer is the given one, else the one in the folder, else None: the model
    then runs on token IDs. `progress` is told how much of a Hugging Face model is read. Raises
    ModelError, which says what is missing, broken or of an architecture that is not run.
    """
    folder = model_folder(path)
    device = _checked_device(device)
    wanted = None if dtype == AUTO else _checked_dtype(dtype, device)
    if hf.is_checkpoint(folder):
        model: GPT | GPT2026 | TransformersModel = hf.load_checkpoint(
            folder, device, wanted, progress
        )
        find: Callable[[], Tokenizer | None] = partial(find_hf_tokenizer, folder)
    else:
        meter, checkpoint = LoadMeter(), find_checkpoint(folder)
        config = read_config(checkpoint.model_config)
        model = _build(config, checkpoint.weights_path).to(device=device, dtype=wanted)
        meter.report(folder, config.version, model)
        find = partial(find_tokenizer, folder, checkpoint.tokenizer_name)
    if tokenizer is None:
        try:
            tokenizer = find()
        except TokenizerError as error:
            raise ModelError(f"the tokenizer of {folder}: {error}") from error
    return model, tokenizer


def model_folder(path: str | Path) -> Path:
    """The folder behind a model's name."""
    return Path(str(files("engine.models"))) / DEMO if str(path) == DEMO else Path(path)


def demo_prompt(question: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens that ask the shipped model `question`, rendered as in its training."""
    return render_question(question, tokenizer)


def _build(config: GPTConfig, weights_path: Path) -> GPT | GPT2026:
    weights = read_weights(weights_path)
    with torch.device("meta"):  # no time or memory for values that are replaced at once
        model = model_of(config)
    _check_shapes(model.state_dict(), weights, weights_path, config.version)
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).eval()


def _check_shapes(
    expected: dict[str, Tensor], weights: dict[str, Tensor], weights_path: Path, version: str
) -> None:
    """Raise ModelError unless these are the weights of this architecture, all and no others."""
    if missing := sorted(expected.keys() - weights.keys()):
        raise ModelError(f"{weights_path} lacks {some_of(missing)}; model_config is of {version}")
    if unknown := sorted(weights.keys() - expected.keys()):
        raise ModelError(
            f"{weights_path} is of another architecture: it has {some_of(unknown)}; "
            f"model_config is of {version}"
        )
    for name, value in expected.items():
        if weights[name].shape != value.shape:
            raise ModelError(
                f"{weights_path}: {name} is {list(weights[name].shape)}, "
                f"model_config says {list(value.shape)}"
            )
        if not weights[name].is_floating_point():
            raise ModelError(f"{weights_path}: {name} holds {weights[name].dtype}, not floats")


def _checked_device(device: str | torch.device) -> torch.device:
    try:
        checked = torch.device(device)
        if checked.type == "cuda" and not torch.cuda.is_available():
            raise ModelError(f"device: {checked} is asked for, and torch sees no CUDA device here")
        torch.empty(0, device=checked)
    except (RuntimeError, TypeError, AssertionError) as error:  # what torch lacks, or no device
        raise ModelError(f"device: {device!r}: {str(error).splitlines()[0]}") from error
    if checked.type == "meta":
        raise ModelError("device: meta holds no values, so nothing can run there")
    return checked


def _checked_dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    resolved = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if resolved not in _DTYPES:
        names = ", ".join(str(known).removeprefix("torch.") for known in _DTYPES)
        raise ModelError(f"dtype: must be {AUTO} or one of {names}, not {dtype!r}")
    return resolved
