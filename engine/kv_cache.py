"""The cache of keys and values: nanochat's, resizable in tokens and in rows."""

from __future__ import annotations

import torch
from torch import Tensor

KEY_MULTIPLE = 16
"""Rows of caches that kernels read have room for a multiple of so many tokens."""

_GROWTH = 1024


class KVCache:
    """Keys and values of a batch, in one tensor `(layers, 2, batch, heads, seq, head_dim)`.

    It is used in one of two ways. In *lockstep*, as in nanochat, all rows share one position:
    `insert_kv` appends and returns everything so far. As *slots*, each row has its own length,
    which the caller keeps: `write` puts keys and values at given rows and positions.

    The tensor is allocated at the first insert, with the dtype and device it is given, and is
    always zeroed. That is for torch's way, where a masked key still takes part in a product, so
    that a stale NaN would spread; the native kernel lets nothing of it through.
    Source of the interface: nanochat's engine.py at commit 8f979a8bda.
    """

    def __init__(
        self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int
    ) -> None:
        self.kv_shape: tuple[int, ...] = (num_layers, 2, batch_size, num_heads, seq_len, head_dim)
        self.kv_cache: Tensor | None = None
        self.pos = 0

    @property
    def num_rows(self) -> int:
        return self.kv_shape[2]

    @property
    def num_tokens(self) -> int:
        """How many positions each row has room for."""
        return self.kv_shape[4]

    def get_pos(self) -> int:
        """The lockstep position: how many tokens were inserted in all layers."""
        return self.pos

    def reset(self) -> None:
        """Forget all tokens and keep the memory."""
        self.pos = 0

    def prefill(self, other: KVCache) -> None:
        """Start from the tokens of `other`, whose single row is repeated for all rows of this one.

        Raises ValueError where this cache isn't empty, `other` is, or the shapes don't fit.
        """
        if self.kv_cache is not None:
            raise ValueError("prefill needs an empty KVCache; this one already holds a tensor")
        if other.kv_cache is None:
            raise ValueError("prefill from a KVCache into which nothing was inserted")
        layers, _, batch, heads, seq, head_dim = self.kv_shape
        other_layers, _, other_batch, other_heads, _, other_head_dim = other.kv_shape
        if (layers, heads, head_dim) != (other_layers, other_heads, other_head_dim):
            raise ValueError(f"KVCache shapes differ: {self.kv_shape} and {other.kv_shape}")
        if other_batch not in (1, batch):
            raise ValueError(f"{other_batch} rows can't become {batch}; expected 1 or {batch}")
        if seq < other.pos:
            raise ValueError(f"{other.pos} tokens don't fit a KVCache of {seq}")
        kv = other.kv_cache.new_zeros(self.kv_shape)
        kv[..., : other.pos, :] = other.kv_cache[..., : other.pos, :]
        self.kv_cache = kv
        self.pos = other.pos

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v `(batch, heads, tokens, head_dim)`; return all keys and values so far.

        The results are views. The position advances once the last layer has inserted. Grows by
        allocate-and-copy where the tokens don't fit.
        """
        start, end = self.pos, self.pos + k.size(2)
        if end > self.num_tokens:
            self.resize(num_tokens=(end + 2 * _GROWTH - 1) // _GROWTH * _GROWTH)
        kv = self._allocated(k)
        kv[layer_idx, 0, :, :, start:end] = k
        kv[layer_idx, 1, :, :, start:end] = v
        if layer_idx == self.kv_shape[0] - 1:
            self.pos = end
        return kv[layer_idx, 0, :, :, :end], kv[layer_idx, 1, :, :, :end]

    def write(self, layer: int, rows_N: Tensor, positions_N: Tensor, k: Tensor, v: Tensor) -> None:
        """Put k and v `(N, heads, head_dim)` at the given rows and positions, as slots."""
        kv = self._allocated(k)
        kv[layer, 0, rows_N, :, positions_N] = k
        kv[layer, 1, rows_N, :, positions_N] = v

    def allocate(self, like: Tensor) -> None:
        """Allocate now, with the dtype and device of `like`, what the first insert would."""
        self._allocated(like)

    def layout(self) -> tuple[int, int, int, int, int]:
        """Where a kernel finds things: the address of the first key, in bytes; bytes from row to
        row; then in elements from head to head, from keys to values, and from layer to layer."""
        assert self.kv_cache is not None, "the layout of a KVCache that was never allocated"
        assert self.num_tokens % KEY_MULTIPLE == 0, "kernels load so many keys at a time"
        per_layer, to_values, per_row, per_head, *_ = self.kv_cache.stride()
        address = self.kv_cache.data_ptr()
        return address, per_row * self.kv_cache.itemsize, per_head, to_values, per_layer

    def view(self, layer: int, num_rows: int, num_tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values `(num_rows, heads, num_tokens, head_dim)` of the first slots."""
        assert self.kv_cache is not None, "a view of a KVCache that was never written"
        kv = self.kv_cache[layer, :, :num_rows, :, :num_tokens]
        return kv[0], kv[1]

    def resize(self, num_rows: int | None = None, num_tokens: int | None = None) -> None:
        """Change the room in rows or tokens, either way; what fits both sizes keeps its values."""
        layers, two, old_rows, heads, old_tokens, head_dim = self.kv_shape
        rows = old_rows if num_rows is None else num_rows
        tokens = old_tokens if num_tokens is None else num_tokens
        self.kv_shape = (layers, two, rows, heads, tokens, head_dim)
        if self.kv_cache is None:
            return
        resized = self.kv_cache.new_zeros(self.kv_shape)
        rows, tokens = min(rows, old_rows), min(tokens, old_tokens)
        resized[:, :, :rows, :, :tokens] = self.kv_cache[:, :, :rows, :, :tokens]
        self.kv_cache = resized

    def select_rows(self, rows: list[int]) -> None:
        """Keep only the given rows, in that order."""
        layers, two, _, *rest = self.kv_shape
        self.kv_shape = (layers, two, len(rows), *rest)
        if self.kv_cache is not None:
            index = torch.tensor(rows, dtype=torch.long, device=self.kv_cache.device)
            self.kv_cache = self.kv_cache.index_select(2, index)

    def move_row(self, source: int, target: int) -> None:
        """Copy one slot onto another; the source's values stay until they are cleared."""
        if self.kv_cache is not None:
            self.kv_cache[:, :, target] = self.kv_cache[:, :, source]

    def clear_row(self, row: int) -> None:
        """Zero a slot, so that nothing of its last owner is left."""
        if self.kv_cache is not None:
            self.kv_cache[:, :, row] = 0

    def _allocated(self, like: Tensor) -> Tensor:
        if self.kv_cache is None:
            self.kv_cache = like.new_zeros(self.kv_shape)
        return self.kv_cache
