"""Attention of one step by the native kernel: what the packed runner's model calls once per layer.

The kernel reads keys and values where the caches hold them; keys beyond a row's length, up to the
next multiple of 16, are loaded too, but their scores are replaced, so they can't matter. Here it is
told which rows read which pages of prompts, as tables of numbers that serve all layers.
native/attention.cpp says what the columns mean.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.kv_cache import KVCache
from engine.models.packed import ModelShape
from engine.native import Library
from engine.prompt_pages import PagedPrompt
from engine.row_state import RowState
from engine.runner import Chunk

_DECODE_GROUP = 16
_PREFILL_GROUP = 32
"""Queries that one thread takes at once: more share the loading of keys, fewer share out better."""
_NO_WINDOW = 2**62
_NO_SOFTCAP = 0.0


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("num_heads", "num_kv_heads", "head_dim")),
        *((name, ctypes.c_int64) for name in ("q_stride", "k_stride", "v_stride")),
        ("window", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("scale", "softcap")),
    )


class NativeAttention:
    """The batch is the rows' newest tokens, then the chunks, then padding (which gets anything)."""

    def __init__(
        self,
        kernels: Library,
        shape: ModelShape,
        rows: Sequence[RowState],
        chunks: Sequence[Chunk],
        suffixes: KVCache,
        num_threads: int | None = None,
    ) -> None:
        """`num_threads`: None for as many as torch takes."""
        self._kernels = kernels
        self._num_threads = num_threads or torch.get_num_threads()
        self._shape = shape
        tables = _Tables()
        if rows:
            tables.add_rows(rows, suffixes)
        offset = len(rows)
        for chunk in chunks:
            tables.add_chunk(chunk, offset)
            offset += chunk.end - chunk.start
        self._groups = np.array(tables.groups, dtype=np.int64)
        self._queries = np.concatenate(tables.queries)
        self._num_tokens = offset
        self._most = int(self._groups[:, 1].max())

    def __call__(self, layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        for x in (q_THD, k_TKD, v_TKD):
            assert x.dtype == torch.float32 and x.stride()[1:] == (x.size(2), 1)
        out_THD = q_THD.new_empty(q_THD.shape)
        out_THD[self._num_tokens :] = 0.0  # what memory holds may be slow to compute with
        rule = self._shape.rules[layer]
        shape = _Shape(
            self._shape.num_heads,
            self._shape.num_kv_heads,
            self._shape.head_dim,
            q_THD.stride(0),
            k_TKD.stride(0),
            v_TKD.stride(0),
            rule.window or _NO_WINDOW,
            rule.scale,
            rule.softcap or _NO_SOFTCAP,
        )
        self._kernels.attend(
            ctypes.addressof(shape),
            self._groups.ctypes.data,
            len(self._groups),
            self._queries.ctypes.data,
            layer,
            q_THD.data_ptr(),
            k_TKD.data_ptr(),
            v_TKD.data_ptr(),
            out_THD.data_ptr(),
            self._most,
            self._num_threads,
        )
        return out_THD


class _Tables:
    """The kernel's groups and queries, in the making."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, ...]] = []
        self.queries: list[np.ndarray] = []
        self._num_queries = 0

    def add_rows(self, rows: Sequence[RowState], suffixes: KVCache) -> None:
        """A query per row: it sees its request's prompt, and its own suffix."""
        slots_of: dict[PagedPrompt, list[int]] = defaultdict(list)
        for slot, row in enumerate(rows):
            slots_of[row.request.prefix].append(slot)
        slots = np.array([slot for its in slots_of.values() for slot in its])
        queries = np.empty((len(rows), 7), dtype=np.int64)
        queries[:, 0] = slots
        queries[:, 1] = [p.num_tokens for p, its in slots_of.items() for _ in its]
        queries[:, 2] = [len(rows[slot].tokens) for slot in slots]
        address, per_row, *strides = suffixes.layout()
        queries[:, 3] = address + slots * per_row
        queries[:, 4:] = strides
        for prompt, its in slots_of.items():
            self._add_groups(prompt, len(its), _DECODE_GROUP)
        self.queries.append(queries)

    def add_chunk(self, chunk: Chunk, offset: int) -> None:
        """A query per token: it sees the prompt up to itself. `offset` is the first one's place."""
        num_tokens = chunk.end - chunk.start
        queries = np.zeros((num_tokens, 7), dtype=np.int64)
        queries[:, 0] = np.arange(offset, offset + num_tokens)
        queries[:, 1] = np.arange(chunk.start + 1, chunk.end + 1)
        self._add_groups(chunk.request.prefix, num_tokens, _PREFILL_GROUP)
        self.queries.append(queries)

    def _add_groups(self, prompt: PagedPrompt, num_queries: int, most: int) -> None:
        place, strides = prompt.address, prompt.strides
        for first in range(0, num_queries, most):
            count = min(most, num_queries - first)
            self.groups.append((self._num_queries + first, count, place, *strides))
        self._num_queries += num_queries
