"""Trials of the native kernel with a model's heads: rows and prompts alone, and in company.

Nothing of a call is as in another: the caches are made anew, with whom it serves in other slots and
NaN wherever nothing was written, and the number of threads changes too.

Shape suffixes: R rows, P prompts, T tokens of a prompt, H query heads, K key/value heads, S keys, D
head width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.kv_cache import KVCache
from engine.models.packed import ModelShape
from engine.native import Library
from engine.native_attention import NativeAttention
from engine.prefix_cache import PrefixCache
from engine.prompt_pages import PAGE, PromptPages
from engine.request import Request
from engine.row_state import RowState
from engine.runner import Chunk
from engine.state import RequestState
from engine.trial import Trial
from engine.tried_rules import tried_rules

_NUM_ROWS = 64
_ROW_SIZES = (1, 2, 3, 4, 5, 8, 16, 17, 31, 33, 64)
_PROMPT_LENGTHS = (70, 1, 64, 33, 127, 16)
_NUM_OWN_KEYS = 80
_NUM_PROMPTS = 6
_PROMPT_SIZES = (1, 2, 3, 5)
_CHUNK = 70
_MOST_KV_HEADS = 4
"""The kernel takes each alone: more of them would take time, and show nothing."""
_LIKE = torch.empty(0, dtype=torch.float32, device="cpu")


def native_attention_trials(kernels: Library, shape: ModelShape) -> list[Trial]:
    """Of each way in which its layers attend."""
    kv_heads = min(shape.num_kv_heads, _MOST_KV_HEADS)
    heads = kv_heads * (shape.num_heads // shape.num_kv_heads)
    trials = []
    for label, rule in tried_rules(shape):
        layer = dataclasses.replace(
            shape, num_layers=1, num_heads=heads, num_kv_heads=kv_heads, rules=(rule,)
        )
        trials += _trials(kernels, layer, label)
    return trials


def _trials(kernels: Library, shape: ModelShape, label: str) -> list[Trial]:
    """Rows that share prompts, each with keys of its own; and prompts, chunk by chunk."""
    generator = torch.Generator().manual_seed(2)
    heads, kv_heads = shape.num_heads, shape.num_kv_heads

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, shape.head_dim, generator=generator)

    prompts_2PSKD = random(2, len(_PROMPT_LENGTHS), max(_PROMPT_LENGTHS), kv_heads)
    own_2RSKD = random(2, _NUM_ROWS, _NUM_OWN_KEYS, kv_heads)
    lengths_R = torch.arange(_NUM_ROWS) * 37 % _NUM_OWN_KEYS + 1
    numbers_R = torch.arange(_NUM_ROWS)
    return [
        Trial(
            name=f"attention of rows{label}",
            run=_Rows(kernels, shape, prompts_2PSKD, own_2RSKD),
            inputs=(random(_NUM_ROWS, heads), numbers_R, lengths_R),
            sizes=_ROW_SIZES,
            is_tiled=False,
        ),
        Trial(
            name=f"attention of prompts{label}",
            run=_Prompts(kernels, shape),
            inputs=(
                random(_NUM_PROMPTS, _CHUNK, heads),
                *(random(_NUM_PROMPTS, _CHUNK, kv_heads) for _ in "kv"),
            ),
            sizes=_PROMPT_SIZES,
            is_tiled=False,
        ),
    ]


class _Rows:
    """Row n reads prompt n modulo their number, and the first of its own keys."""

    def __init__(
        self, kernels: Library, shape: ModelShape, prompts_2PSKD: Tensor, own_2RSKD: Tensor
    ) -> None:
        self._kernels, self._shape = kernels, shape
        self._prompts_2PSKD, self._own_2RSKD = prompts_2PSKD, own_2RSKD

    def __call__(self, q_RHD: Tensor, numbers_R: Tensor, lengths_R: Tensor) -> Tensor:
        num_rows, num_prompts = len(q_RHD), len(_PROMPT_LENGTHS)
        which = dict.fromkeys((numbers_R % num_prompts).tolist())  # in the order of their rows
        prompts = [(_PROMPT_LENGTHS[n], self._prompts_2PSKD[:, n]) for n in which]
        requests = dict(zip(which, _requests(self._shape, prompts), strict=True))
        suffixes = _suffixes(self._shape, num_rows)
        rows = []
        for slot, (n, length) in enumerate(
            zip(numbers_R.tolist(), lengths_R.tolist(), strict=True)
        ):
            row = RowState(requests[n % num_prompts], n, None)
            row.tokens += [0] * length
            _write(suffixes, slot, self._own_2RSKD[:, n, : length - 1])
            rows.append(row)
        newest_2RKD = self._own_2RSKD[:, numbers_R, lengths_R - 1]
        attend = NativeAttention(
            self._kernels, self._shape, rows, [], suffixes, num_threads=_num_threads(num_rows)
        )
        return attend(0, q_RHD, *newest_2RKD)


class _Prompts:
    """One chunk of each."""

    def __init__(self, kernels: Library, shape: ModelShape) -> None:
        self._kernels, self._shape = kernels, shape

    def __call__(self, q_PTHD: Tensor, k_PTKD: Tensor, v_PTKD: Tensor) -> Tensor:
        num_prompts, num_tokens = q_PTHD.shape[:2]
        unwritten = (num_tokens, torch.empty(2, 0, self._shape.num_kv_heads, self._shape.head_dim))
        requests = _requests(self._shape, [unwritten] * num_prompts)
        chunks = [Chunk(request, 0, num_tokens) for request in requests]
        attend = NativeAttention(
            self._kernels,
            self._shape,
            [],
            chunks,
            _suffixes(self._shape, 1),
            num_threads=_num_threads(num_prompts),
        )
        out_THD = attend(0, *(its.flatten(0, 1) for its in (q_PTHD, k_PTKD, v_PTKD)))
        return out_THD.view(q_PTHD.shape)


def _requests(shape: ModelShape, prompts: Sequence[tuple[int, Tensor]]) -> list[RequestState]:
    """One per prompt: its length, and the keys and values `[2, S, K, D]` that are written."""
    cache = PrefixCache(PAGE, is_on=False)
    pages = PromptPages(shape, _LIKE, cache, make_room=lambda num_tokens, must=True: True)
    requests = []
    for length, kv_2SKD in prompts:
        request = RequestState(Request(id="trial", prompt_tokens=[0] * length), _NUM_OWN_KEYS)
        pages.open(request)
        pages.prepare([Chunk(request, 0, length)])
        request.prefix.num_tokens = length
        for page in request.prefix.pages:
            page.kv.fill_(math.nan)
        parts = torch.split(kv_2SKD[:, :length], PAGE, dim=1)
        for page, its_2SKD in zip(request.prefix.pages, parts, strict=False):
            page.kv[0, :, :, : its_2SKD.size(1)] = its_2SKD.transpose(1, 2)
        requests.append(request)
    return requests


def _suffixes(shape: ModelShape, num_rows: int) -> KVCache:
    cache = KVCache(num_rows, shape.num_kv_heads, _NUM_OWN_KEYS, shape.head_dim, num_layers=1)
    _fill_with_nan(cache)
    return cache


def _fill_with_nan(cache: KVCache) -> None:
    cache.allocate(_LIKE)
    assert cache.kv_cache is not None
    cache.kv_cache.fill_(math.nan)


def _write(cache: KVCache, slot: int, kv_2SKD: Tensor) -> None:
    positions_S = torch.arange(kv_2SKD.size(1))
    cache.write(0, torch.full_like(positions_S, slot), positions_S, *kv_2SKD)


def _num_threads(num_served: int) -> int:
    """One, two, or as many as serve a step."""
    return (1, 2, torch.get_num_threads())[num_served % 3]
