"""A Hugging Face checkpoint's folder: `config.json` beside weights in safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import ModelError

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is Hugging Face's; one of nanochat's has no config.json."""
    return (folder / _CONFIG).is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says. Raises ModelError where it can't tell which model this is."""
    config = read_json(folder / _CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(f"{folder / _CONFIG} names no model_type")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises ModelError for anything else."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} can't be read: {error}") from error
    if not isinstance(fields, dict):
        raise ModelError(f"{path} is not a JSON object")
    return fields


def check_weights(folder: Path) -> None:
    """Raise ModelError unless all weights are there, in whole files of safetensors."""
    files = _weight_files(folder)
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ModelError("needs safetensors: pip install 'rowmill[hf]'") from error
    for path in files:
        try:
            with safe_open(path, "pt"):  # reads the head, which tells how long the file has to be
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is cut short or damaged: {error}") from error


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        files = read_json(index).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(its, str) for its in files.values()):
            raise ModelError(f"{index} has no weight_map")
        names = sorted(set(files.values()))
        if missing := [its for its in names if not (folder / its).is_file()]:
            raise ModelError(f"{folder} lacks {', '.join(missing)}, which {_INDEX} names")
        return [folder / its for its in names]
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if pickles := sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern)):
        raise ModelError(
            f"{folder} holds weights as pickles only ({pickles[0]}), which may run code: "
            "convert them with save_pretrained, which writes safetensors"
        )
    raise ModelError(f"{folder} holds no {_WEIGHTS}, and no {_INDEX}")
