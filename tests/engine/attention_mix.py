"""Rows and chunks of prompts that attend in one step, in either way, and plain float64 beside it.

Shape suffixes: H query heads, K key/value heads, S keys, D head width.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import torch
from torch import Tensor

from engine.kv_cache import KVCache
from engine.models.packed import Attend, AttentionRule, ModelShape
from engine.native_attention import NativeAttention
from engine.packed_attention import PackedAttention
from engine.prefix_pool import BucketKey, PrefixPool
from engine.row_state import RowState
from engine.runner import Chunk
from engine.state import RequestState
from tests.engine.caches import fill, new_pages, open_pages, write, write_pages
from tests.engine.kernels import kernels
from tests.engine.runs import prompt_of, request

_LAYER, _NUM_LAYERS = 1, 2
_MOST_OWN, _MOST_TOKENS = 256, 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """One that attends: of a row, or of a chunk of a prompt."""

    prompt: int
    """The number of its prompt, which gives the prompt's keys and values."""
    num_prompt: int
    own: int = 0
    """The number of its row, which gives the row's."""
    num_own: int = 0

    def keys(self, shape: ModelShape) -> Tensor:
        """And values `[2, S, K, D]`, all that are before it and its own."""
        heads = shape.num_kv_heads, shape.head_dim
        prompt_2SKD = _sequence(2 * self.prompt, *heads)[:, : self.num_prompt]
        return torch.cat([prompt_2SKD, _sequence(2 * self.own + 1, *heads)[:, : self.num_own]], 1)

    def query(self, shape: ModelShape) -> Tensor:
        """`[H, D]`; of a row it has nothing to do with the prompt."""
        number = 1000 * self.own + self.num_own if self.num_own else -self.num_prompt
        generator = torch.Generator().manual_seed(number)
        return torch.randn(shape.num_heads, shape.head_dim, generator=generator)


@functools.lru_cache(maxsize=64)
def _sequence(number: int, num_kv_heads: int, head_dim: int) -> Tensor:
    """Keys and values `[2, S, K, D]`."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(2, _MOST_TOKENS, num_kv_heads, head_dim, generator=generator)


def shape_of(heads: tuple[int, int, int], rule: AttentionRule) -> ModelShape:
    """The layer that attends has the rule, the other another one."""
    num_heads, num_kv_heads, head_dim = heads
    return ModelShape(
        num_layers=_NUM_LAYERS,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        vocab_size=64,
        max_seq_len=1024,
        rules=(AttentionRule(scale=9.0, window=3, softcap=0.1), rule),
    )


class Mix:
    """Rows, then chunks; caches hold NaN wherever the native kernel must not look, else zeros."""

    def __init__(
        self, shape: ModelShape, rows: list[Token], chunks: list[list[Token]], is_native: bool
    ) -> None:
        self._shape, self._is_native = shape, is_native
        self._tokens = [*rows, *(token for chunk in chunks for token in chunk)]
        self._pool, self._pages = PrefixPool(shape), new_pages(shape)
        prompts = {row.prompt: row for row in rows}
        requests = {prompt: self._open(row.num_prompt) for prompt, row in prompts.items()}
        opened = [self._open(chunk[-1].num_prompt) for chunk in chunks]
        for bucket in self._pool.buckets.values():
            self._fill(bucket.cache)
        for prompt, row in prompts.items():
            self._write(requests[prompt], row.keys(shape)[:, : row.num_prompt])
        for its, chunk in zip(opened, chunks, strict=True):
            self._write(its, chunk[0].keys(shape)[:, :-1])
        self._suffixes = KVCache(
            len(rows), shape.num_kv_heads, _MOST_OWN, shape.head_dim, _NUM_LAYERS
        )
        self._fill(self._suffixes)
        self._rows = [self._row(slot, row, requests[row.prompt]) for slot, row in enumerate(rows)]
        self._chunks = [
            Chunk(its, chunk[0].num_prompt - 1, chunk[-1].num_prompt)
            for its, chunk in zip(opened, chunks, strict=True)
        ]

    def attended(self) -> list[Tensor]:
        """Per token `[H, D]`."""
        queries = torch.stack([token.query(self._shape) for token in self._tokens])
        newest = torch.stack([token.keys(self._shape)[:, -1] for token in self._tokens], 1)
        return list(self._attend()(_LAYER, queries, *newest))

    def _attend(self) -> Attend:
        step = self._shape, self._rows, self._chunks, self._suffixes
        if self._is_native:
            return NativeAttention(kernels(), *step)
        return PackedAttention(*step, torch.device("cpu"))

    def _open(self, num_tokens: int) -> RequestState:
        its = RequestState(request("a", prompt_of(num_tokens, 0), 16), 400)
        if self._is_native:
            open_pages(self._pages, its)
        else:
            its.prefix = self._pool.add(BucketKey.of(num_tokens, 16))
        return its

    def _row(self, slot: int, token: Token, its: RequestState) -> RowState:
        row = RowState(its, slot, None)
        row.tokens += [0] * token.num_own
        own_2SKD = token.keys(self._shape)[:, token.num_prompt : -1]
        write(self._suffixes, _LAYER, slot, own_2SKD)
        return row

    def _write(self, its: RequestState, kv_2SKD: Tensor) -> None:
        if self._is_native:
            write_pages(its, _LAYER, kv_2SKD)
        else:
            write(its.prefix.bucket.cache, _LAYER, its.prefix.slot, kv_2SKD)
        its.prefix.num_tokens = kv_2SKD.size(1)

    def _fill(self, cache: KVCache) -> None:
        fill(cache, math.nan if self._is_native else 0.0)


def plainly_attended(shape: ModelShape, token: Token) -> Tensor:
    """`[H, D]` in float64."""
    rule = shape.rules[_LAYER]
    k_SKD, v_SKD = token.keys(shape).double()
    if rule.window is not None:
        k_SKD, v_SKD = k_SKD[-rule.window :], v_SKD[-rule.window :]
    group = shape.num_heads // shape.num_kv_heads
    k_SHD, v_SHD = k_SKD.repeat_interleave(group, 1), v_SKD.repeat_interleave(group, 1)
    scores_HS = torch.einsum("hd,shd->hs", token.query(shape).double(), k_SHD) * rule.scale
    if rule.softcap is not None:
        scores_HS = rule.softcap * (scores_HS / rule.softcap).tanh()
    return torch.einsum("hs,shd->hd", scores_HS.softmax(-1), v_SHD)
