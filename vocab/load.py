"""Finds the tokenizer that belongs to a checkpoint, or the one that a person names."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

from vocab.bpe import BPETokenizer
from vocab.byte import ByteTokenizer
from vocab.errors import TokenizerError
from vocab.hf import find_hf_tokenizer, is_hf_folder
from vocab.pickled import read_encoding
from vocab.tokenizer import Tokenizer

_BYTE = "byte"
_DEMO = "demo"
_FILES = ("tokenizer.pkl", "tokenizer/tokenizer.pkl")
_META = re.compile(r"meta_(\d+)\.json")


def find_tokenizer(folder: Path, name: str | None) -> Tokenizer | None:
    """The tokenizer of the checkpoint in `folder`, or None where it has none.

    `name` is what the checkpoint's meta file says under "tokenizer", if anything: "byte" is the
    byte tokenizer. Without a name, `tokenizer.pkl` is looked for in the folder and in its
    `tokenizer` folder, and nowhere else: a tokenizer of another model gives wrong text silently.

    Raises TokenizerError for an unknown name and for a file that can't be read.
    """
    if name is not None:
        if name != _BYTE:
            raise TokenizerError(f"unknown tokenizer {name!r}; the known one is {_BYTE!r}")
        return ByteTokenizer()
    for file in _FILES:
        if (folder / file).is_file():
            return BPETokenizer(read_encoding(folder / file))
    return None


def load_tokenizer(path_or_name: str) -> Tokenizer:
    """The tokenizer that a person gave: a checkpoint's folder, a `.pkl` file, or a name.

    The names are "demo", the shipped model's tokenizer, and "byte". Needs no torch. Raises
    TokenizerError where there is none.
    """
    if path_or_name == _BYTE:
        return ByteTokenizer()
    path = _demo_folder() if path_or_name == _DEMO else Path(path_or_name)
    if not path.exists():
        names = f"{_DEMO!r} and {_BYTE!r} are the only names"
        raise TokenizerError(f"{path}: no such file or folder, and {names}")
    if not path.is_dir():
        return BPETokenizer(read_encoding(path))
    if is_hf_folder(path):
        tokenizer: Tokenizer | None = find_hf_tokenizer(path)
    else:
        tokenizer = find_tokenizer(path, _name_in_meta(path))
    if tokenizer is None:
        raise TokenizerError(f"{path}: holds no tokenizer")
    return tokenizer


def _demo_folder() -> Path:
    spec = find_spec("engine")  # finds the package and does not import it
    if spec is None or spec.origin is None:
        raise TokenizerError("the shipped model is not installed")
    return Path(spec.origin).parent / "models" / "demo"


def _name_in_meta(folder: Path) -> str | None:
    """What the meta file of the highest step says under "tokenizer"."""
    metas = [(int(match[1]), file) for file in folder.iterdir() if (match := _match_meta(file))]
    if not metas:
        return None
    _, newest = max(metas)
    try:
        meta = json.loads(newest.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{newest}: is not JSON") from error
    name = meta.get("tokenizer") if isinstance(meta, dict) else None
    if not isinstance(name, str | None):
        raise TokenizerError(f"{newest}: tokenizer must be a string")
    return name


def _match_meta(file: Path) -> re.Match[str] | None:
    return _META.fullmatch(file.name)
