"""How much memory there is for keys and values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from engine.models.packed import ModelShape

_SHARE = 4
"""A quarter of what is free: growing a cache holds the old and the new one at once, other workers
may share the machine, and a step needs room of its own."""


def default_budget(model: Any, shape: ModelShape) -> int:
    """The KV budget in tokens where none was given."""
    parameter = next(iter(getattr(model, "parameters", list)()), None)
    itemsize = 4 if parameter is None else parameter.dtype.itemsize
    per_token = 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * itemsize
    return max(_free_bytes(torch.device(model.get_device())) // _SHARE // per_token, 1)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    try:
        return min(free, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        return free
