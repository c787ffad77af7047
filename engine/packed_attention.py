"""Attention of one step of the packed runner: what its model calls once per layer.

Shape suffixes: R running rows, P prompts of a bucket, N rows per prompt (padded), H query heads,
K key/value heads, G query heads per key/value head, Q queries per key/value head, T tokens of a
chunk, S keys, D head width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention import masked_attention, merge, visible_mask
from engine.invariance import KEY_TILE, QUERY_TILE, round_up
from engine.kv_cache import KVCache
from engine.models.packed import AttentionRule, ModelShape
from engine.prefix_pool import Bucket, Prefix
from engine.row_state import RowState
from engine.runner import Chunk


class PackedAttention:
    """The batch is the rows' newest tokens, then the chunks, then padding (which gets zeros).

    Everything that is the same for many layers, masks and indices, is made once per step.
    """

    def __init__(
        self,
        shape: ModelShape,
        rows: Sequence[RowState],
        chunks: Sequence[Chunk],
        suffixes: KVCache,
        device: torch.device,
    ) -> None:
        self._rules = shape.rules
        self._decode = _Decode(shape, rows, suffixes, device) if rows else None
        self._chunks: list[_Prefill] = []
        offset = len(rows)
        for chunk in chunks:
            self._chunks.append(_Prefill(shape, chunk, offset, device))
            offset += chunk.end - chunk.start

    def __call__(self, layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        out_THD, rule = torch.zeros_like(q_THD), self._rules[layer]
        if self._decode is not None:
            self._decode.attend(layer, rule, q_THD, k_TKD, v_TKD, out_THD)
        for chunk in self._chunks:
            chunk.attend(layer, rule, q_THD, k_TKD, v_TKD, out_THD)
        return out_THD


def _masks(
    shape: ModelShape, positions_BQ: Tensor, ends_BQ: Tensor, num_keys: int
) -> dict[int | None, Tensor]:
    """Masks `[B, 1, Q, S]` by window, for each window among the layers' rules."""
    windows = {rule.window for rule in shape.rules}
    return {window: visible_mask(positions_BQ, ends_BQ, num_keys, window) for window in windows}


class _Decode:
    """One new token per row: attends to the row's suffix and to its prompt, and merges the two."""

    def __init__(
        self,
        shape: ModelShape,
        rows: Sequence[RowState],
        suffixes: KVCache,
        device: torch.device,
    ) -> None:
        lengths = [len(row.tokens) for row in rows]
        self._num_rows = len(rows)
        self._suffixes = suffixes
        self._num_keys = round_up(max(lengths), KEY_TILE)
        lengths_R = torch.tensor(lengths, device=device)
        self._rows_R = torch.arange(len(rows), device=device)
        self._positions_R = lengths_R - 1
        ends_R1 = lengths_R.unsqueeze(-1)
        self._masks_R11S = _masks(shape, ends_R1 - 1, ends_R1, self._num_keys)
        by_bucket: dict[Bucket, list[int]] = defaultdict(list)
        for slot, row in enumerate(rows):
            by_bucket[row.request.prefix.bucket].append(slot)
        self._groups = [
            _PromptGroup(
                shape, bucket, slots, [rows[slot].request.prefix for slot in slots], lengths_R
            )
            for bucket, slots in by_bucket.items()
        ]

    def attend(
        self,
        layer: int,
        rule: AttentionRule,
        q_THD: Tensor,
        k_TKD: Tensor,
        v_TKD: Tensor,
        out_THD: Tensor,
    ) -> None:
        n = self._num_rows
        self._suffixes.write(layer, self._rows_R, self._positions_R, k_TKD[:n], v_TKD[:n])
        q_RKGD = q_THD[:n].view(n, k_TKD.size(1), -1, q_THD.size(-1))
        keys, values = self._suffixes.view(layer, n, self._num_keys)
        mask_R11S = self._masks_R11S[rule.window]
        suffix_RKGD, suffix_lse_RKG = masked_attention(q_RKGD, keys, values, mask_R11S, rule)
        prefix_RKGD, prefix_lse_RKG = torch.empty_like(q_RKGD), torch.empty_like(suffix_lse_RKG)
        for group in self._groups:
            out, lse = group.attend(layer, rule, q_RKGD)
            prefix_RKGD[group.rows], prefix_lse_RKG[group.rows] = out, lse
        out_RKGD = merge(prefix_RKGD, prefix_lse_RKG, suffix_RKGD, suffix_lse_RKG)
        if rule.window is not None:  # what sees nothing of its prompt got something all the same
            sees_prompt_R = self._positions_R + 1 < rule.window
            out_RKGD = torch.where(sees_prompt_R[:, None, None, None], out_RKGD, suffix_RKGD)
        out_THD[:n] = out_RKGD.flatten(1, 2)


class _PromptGroup:
    """The rows whose prompts are in one bucket: each prompt is read once for all of its rows."""

    def __init__(
        self,
        shape: ModelShape,
        bucket: Bucket,
        rows: list[int],
        prefixes: list[Prefix],
        own_lengths_R: Tensor,
    ) -> None:
        """`rows` are the rows' slots in the batch, `prefixes` their prompts."""
        device = own_lengths_R.device
        rows_of: list[list[int]] = [[] for _ in bucket.prefixes]
        lanes = []
        for row, prefix in zip(rows, prefixes, strict=True):
            lanes.append((prefix.slot, len(rows_of[prefix.slot])))
            rows_of[prefix.slot].append(row)
        width = round_up(max(map(len, rows_of)), QUERY_TILE)
        # Lanes without a row repeat some row's query; nobody reads what they get.
        padded = [own + [rows[0]] * (width - len(own)) for own in rows_of]
        self.rows = torch.tensor(rows, device=device)
        self._cache = bucket.cache
        self._num_prompts = len(rows_of)
        self._query_PN = torch.tensor(padded, device=device)
        self._lane = torch.tensor([slot * width + lane for slot, lane in lanes], device=device)
        lengths = bucket.lengths()
        self._num_keys = round_up(max(lengths), KEY_TILE)
        lengths_P1 = torch.tensor(lengths, device=device).unsqueeze(-1)
        positions_PN = lengths_P1 + own_lengths_R[self._query_PN] - 1
        positions_PQ = positions_PN.repeat_interleave(shape.num_heads // shape.num_kv_heads, 1)
        self._masks_P1QS = _masks(shape, positions_PQ, lengths_P1, self._num_keys)

    def attend(self, layer: int, rule: AttentionRule, q_RKGD: Tensor) -> tuple[Tensor, Tensor]:
        """Output `[rows, K, G, D]` and log-sum-exp `[rows, K, G]` of this group's rows."""
        q_PKQD = q_RKGD[self._query_PN].transpose(1, 2).flatten(2, 3)
        keys, values = self._cache.view(layer, self._num_prompts, self._num_keys)
        mask_P1QS = self._masks_P1QS[rule.window]
        out_PKQD, lse_PKQ = masked_attention(q_PKQD, keys, values, mask_P1QS, rule)
        num_prompts, num_kv_heads, _, head_dim = out_PKQD.shape
        by_head = (num_prompts, num_kv_heads, -1, q_RKGD.size(2))  # P, K, N, G
        out_PKNGD, lse_PKNG = out_PKQD.reshape(*by_head, head_dim), lse_PKQ.reshape(by_head)
        out = out_PKNGD.transpose(1, 2).flatten(0, 1)[self._lane]
        return out, lse_PKNG.transpose(1, 2).flatten(0, 1)[self._lane]


class _Prefill:
    """A chunk of one prompt: attends to the prompt so far, itself included, causally."""

    def __init__(self, shape: ModelShape, chunk: Chunk, offset: int, device: torch.device) -> None:
        """`offset` is the place of the chunk's first token in the batch."""
        prefix: Prefix = chunk.request.prefix
        num_tokens = chunk.end - chunk.start
        self._tokens = slice(offset, offset + num_tokens)
        self._cache = prefix.bucket.cache
        self._slot = prefix.slot
        self._num_keys = round_up(chunk.end, KEY_TILE)
        self._rows_T = torch.full((num_tokens,), prefix.slot, device=device)
        self._positions_T = torch.arange(chunk.start, chunk.end, device=device)
        positions_1T = self._positions_T.unsqueeze(0)
        self._masks_11TS = _masks(shape, positions_1T, positions_1T + 1, self._num_keys)

    def attend(
        self,
        layer: int,
        rule: AttentionRule,
        q_THD: Tensor,
        k_TKD: Tensor,
        v_TKD: Tensor,
        out_THD: Tensor,
    ) -> None:
        here = self._tokens
        self._cache.write(layer, self._rows_T, self._positions_T, k_TKD[here], v_TKD[here])
        keys, values = self._cache.view(layer, self._slot + 1, self._num_keys)
        q_1HTD = q_THD[here].transpose(0, 1).unsqueeze(0)
        mask_11TS = self._masks_11TS[rule.window]
        out_1HTD, _ = masked_attention(q_1HTD, keys[-1:], values[-1:], mask_11TS, rule)
        out_THD[here] = out_1HTD[0].transpose(0, 1)
