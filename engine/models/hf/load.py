"""From a Hugging Face folder to a model that was checked to run packed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.checks import some_of
from engine.errors import ModelError
from engine.models.hf import check, guards
from engine.models.hf.attention import NAME, switch_attention
from engine.models.hf.defaults import read_defaults
from engine.models.hf.folder import check_weights, read_config
from engine.models.hf.layers import replace_layers
from engine.models.hf.model import TransformersModel
from engine.models.hf.progress import Progress, told_progress
from engine.models.hf.recording import Call
from engine.models.load_meter import LoadMeter
from engine.models.packed import ModelShape


def load_checkpoint(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype | None,
    progress: Progress | None = None,
) -> TransformersModel:
    """Load and check a model; `dtype` None keeps that of the checkpoint.

    Nothing is fetched from anywhere, no code of the folder is run, and no pickle is read. Raises
    ModelError, which names the folder and says what is missing or why the model is not run.
    """
    meter = LoadMeter()
    model_type = read_config(folder)["model_type"]
    check_weights(folder)
    try:
        model = _read(folder, dtype, progress).to(device)
        packed, off_by = _checked(model, device, folder)
    except ModelError as error:
        raise ModelError(f"{folder}: {model_type}: {error}") from error.__cause__
    also = f"; logits within {off_by:.1g} of eager attention's"
    meter.report(folder, model_type, packed, also)
    return packed


def _read(folder: Path, dtype: torch.dtype | None, progress: Progress | None) -> Any:
    """The model as transformers loads it, with eager attention, all of its weights from files."""
    try:
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise ModelError("needs transformers: pip install 'rowmill[hf]'") from error
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **options)
    except Exception as error:  # transformers raises whatever its readers do
        raise ModelError(f"its config can't be read: {_first_line(error)}") from error
    guards.check_config(config)
    try:
        with told_progress(progress):
            model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype="auto" if dtype is None else dtype,
                use_safetensors=True,
                attn_implementation="eager",
                ignore_mismatched_sizes=True,  # to say ourselves which, in fewer words
                output_loading_info=True,
                **options,
            )
    except Exception as error:
        raise ModelError(f"can't be loaded: {_first_line(error)}") from error
    _check_found(found)
    return model.requires_grad_(False).eval()


def _check_found(found: dict[str, Any]) -> None:
    """Transformers makes up what is missing or does not fit, and passes over what is unknown."""
    for name, its, wanted in sorted(found.get("mismatched_keys") or ()):
        raise ModelError(f"{name} is {list(its)}, and by config.json {list(wanted)}")
    for kind, what in (("missing_keys", "lacks"), ("unexpected_keys", "has unknown")):
        if names := sorted(found.get(kind) or ()):
            raise ModelError(f"{what} weights: {some_of(names)}")


def _checked(model: Any, device: torch.device, folder: Path) -> tuple[TransformersModel, float]:
    config = model.config
    switch_attention(model, NAME)  # ask first: without it, nothing else matters
    switch_attention(model, "eager")
    longest = guards.max_seq_len(config)
    try:
        reference = check.reference_logits(model, config, device, longest)
    except (IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"can't be run on plain tokens: {_first_line(error)}") from error
    replace_layers(model)
    try:
        calls, off_by = check.checked_calls(model, reference)
    except (IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"can't be run packed: {_first_line(error)}") from error
    vocab_size = min(reference.logits_TV.size(-1), model.get_input_embeddings().num_embeddings)
    defaults, ends = read_defaults(folder, config)
    packed = TransformersModel(
        model,
        _shape(calls, vocab_size, longest),
        calls[0].value_dim,
        calls[0].dtype,
        defaults,
        frozenset(token for token in ends if 0 <= token < vocab_size),
    )
    return packed, off_by


def _shape(calls: list[Call], vocab_size: int, longest: int) -> ModelShape:
    first = calls[0]
    return ModelShape(
        num_layers=len(calls),
        num_heads=first.num_heads,
        num_kv_heads=first.num_kv_heads,
        head_dim=max(first.key_dim, first.value_dim),
        vocab_size=vocab_size,
        max_seq_len=longest,
        rules=tuple(call.rule for call in calls),
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
