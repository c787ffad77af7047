"""Caches with known contents."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.kv_cache import KVCache
from engine.models.packed import ModelShape
from engine.prefix_cache import PrefixCache
from engine.prompt_pages import PAGE, PromptPages
from engine.runner import Chunk
from engine.state import RequestState


def fill(cache: KVCache, value: float) -> None:
    """With what a kernel must not look at."""
    cache.allocate(torch.empty(0))
    assert cache.kv_cache is not None
    cache.kv_cache.fill_(value)


def write(cache: KVCache, layer: int, slot: int, kv_2SKD: Tensor) -> None:
    """Keys and values of a slot's first tokens."""
    positions_S = torch.arange(kv_2SKD.size(1))
    cache.write(layer, torch.full_like(positions_S, slot), positions_S, *kv_2SKD)


def new_pages(shape: ModelShape) -> PromptPages:
    """Of prompts that share nothing, and have all the memory they want."""
    cache = PrefixCache(PAGE, is_on=False)
    return PromptPages(shape, torch.empty(0), cache, lambda num_tokens, must=True: True)


def open_pages(pages: PromptPages, its: RequestState) -> None:
    """For the whole prompt, with NaN in them."""
    pages.open(its)
    pages.prepare([Chunk(its, 0, its.num_prompt_tokens)])
    for page in its.prefix.pages:
        page.kv.fill_(math.nan)


def write_pages(its: RequestState, layer: int, kv_2SKD: Tensor) -> None:
    """Keys and values `[2, S, K, D]` of a prompt's first tokens."""
    parts = torch.split(kv_2SKD, PAGE, dim=1)
    for page, part_2SKD in zip(its.prefix.pages, parts, strict=False):
        page.kv[layer, :, :, : part_2SKD.size(1)] = part_2SKD.transpose(1, 2)
