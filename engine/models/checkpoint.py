"""nanochat's checkpoint folders: `model_<step>.pt` beside `meta_<step>.json`."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError

_MODEL_FILE = re.compile(r"model_(\d{6,})\.pt")
_COMPILED_PREFIX = "_orig_mod."


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    folder: Path
    step: int
    model_config: dict[str, Any]
    tokenizer_name: str | None
    """The meta file's `tokenizer`, where it has one; Rowmill's own addition."""

    @property
    def weights_path(self) -> Path:
        return self.folder / f"model_{self.step:06d}.pt"


def find_checkpoint(folder: Path) -> Checkpoint:
    """The newest checkpoint of a folder. Raises ModelError where there is none, or a broken one."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder with a checkpoint")
    matches = (_MODEL_FILE.fullmatch(path.name) for path in folder.iterdir())
    steps = [int(match[1]) for match in matches if match]
    if not steps:
        raise ModelError(f"{folder} holds no checkpoint: no config.json and no model_<step>.pt")
    step = max(steps)
    meta_path = folder / f"meta_{step:06d}.json"
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{meta_path} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{meta_path} can't be read: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("model_config"), dict):
        raise ModelError(f"{meta_path} has no model_config")
    tokenizer_name = meta.get("tokenizer")
    if tokenizer_name is not None and not isinstance(tokenizer_name, str):
        raise ModelError(f"{meta_path}: tokenizer must be a name, not {tokenizer_name!r}")
    return Checkpoint(folder, step, meta["model_config"], tokenizer_name)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict, without the prefix that torch.compile leaves. Runs no code of the file.

    The tensors are the file's own bytes, mapped: they are read when they are used, and the file
    must stay as it is.
    """
    try:
        is_mapped = zipfile.is_zipfile(path)  # torch's format since 1.6; it can't map the older one
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # torch.load raises whatever its readers do
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} can't be read: {reason}") from error
    if not isinstance(weights, dict) or not all(
        isinstance(value, Tensor) for value in weights.values()
    ):
        raise ModelError(f"{path} is not a state dict of tensors")
    return {str(name).removeprefix(_COMPILED_PREFIX): value for name, value in weights.items()}
