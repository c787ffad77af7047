"""How much memory there is for keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
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
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:
        return min(free, _left_in_control_group(Path("/sys/fs/cgroup")))
    except (OSError, ValueError):  # none, or one without a limit
        return free


def _left_in_control_group(folder: Path) -> int:
    """Bytes until a container's limit; the page cache counts as free, as the kernel gives it up."""
    limit = int((folder / "memory.max").read_text())
    used = int((folder / "memory.current").read_text())
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return limit - used + int(statistics.get("inactive_file", 0))
