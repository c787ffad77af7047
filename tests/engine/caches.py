"""Caches with known contents."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.kv_cache import KVCache


def fill(cache: KVCache, value: float) -> None:
    """With what a kernel must not look at."""
    cache.allocate(torch.empty(0))
    assert cache.kv_cache is not None
    cache.kv_cache.fill_(value)


def write(cache: KVCache, layer: int, slot: int, kv_2SKD: Tensor) -> None:
    """Keys and values of a slot's first tokens."""
    positions_S = torch.arange(kv_2SKD.size(1))
    cache.write(layer, torch.full_like(positions_S, slot), positions_S, *kv_2SKD)
