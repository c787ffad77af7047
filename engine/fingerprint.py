"""A model's fingerprint: what tells whether two processes run the same model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

_AT_ONCE = 2**24
"""Numbers that are copied off a device at a time."""


def fingerprint(model: Any) -> str:
    """SHA-256, in hexadecimal, over a model's class, configuration, parameters and buffers.

    Where it has generation defaults and end tokens of its own, over these too. All count as loaded,
    in the dtype in which they run: by their names, in alphabetical order, with dtype, shape and
    bytes. It costs about a second per gigabyte.
    """
    sha256 = hashlib.sha256()
    header: dict[str, Any] = {
        "class": type(model).__name__,
        "config": _fields(getattr(model, "config", None)),
    }
    if (defaults := getattr(model, "generation_defaults", None)) is not None:
        header["defaults"] = _fields(defaults)
    if (ends := getattr(model, "end_tokens", None)) is not None:
        header["end_tokens"] = sorted(ends)
    sha256.update(json.dumps(header, sort_keys=True, default=_shown).encode())
    for name, tensor in sorted(_named_tensors(model), key=itemgetter(0)):
        sha256.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        for piece in torch.split(tensor.detach().reshape(-1), _AT_ONCE):
            sha256.update(piece.contiguous().cpu().view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """One that two modules share comes under both names, as it would if they each had a copy."""
    return chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    )


def _fields(config: Any) -> Any:
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    return getattr(config, "__dict__", config)


def _shown(value: Any) -> str:
    """What JSON has no form for; never by its address, which each process has its own of."""
    return f"{value}" if isinstance(value, torch.dtype | torch.device) else type(value).__name__
