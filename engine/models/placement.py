"""Where a model's numbers are, and in which form."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def device_of(model: Any) -> torch.device:
    """The device that a model of either interface names."""
    return torch.device(model.get_device())


def dtypes_of(model: Any) -> list[torch.dtype]:
    """Those of its parameters, each once, the commonest first; none where none can be seen."""
    if not isinstance(model, nn.Module):
        return []
    sizes: dict[torch.dtype, int] = {}
    for each in model.parameters():
        sizes[each.dtype] = sizes.get(each.dtype, 0) + each.numel()
    return sorted(sizes, key=lambda dtype: (-sizes[dtype], str(dtype)))
