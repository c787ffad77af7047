"""Masked attention that also returns its log-sum-exp, and the merge of two parts.

Shape suffixes: B batch entries, K key/value heads, Q queries per key/value head, S keys, D width.

On a CPU in float32 it is torch's flash kernel, called in shapes whose bits don't depend on what
shares the call: the number of keys a multiple of KEY_TILE, queries that share a call padded to
QUERY_TILE. Elsewhere it is written out; there the bits are as invariant as the device's products.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def masked_attention(
    q_BKQD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention under an additive mask (0 or -inf) that broadcasts to `[B, 1, Q, S]`.

    Returns the output `[B, K, Q, D]` and the float32 log-sum-exp `[B, K, Q]` of the scaled scores.
    Every query must see at least one key. Queries may also come per query head, `[B, H, Q, D]`
    with H a multiple of K; so does the output, then.
    """
    if q_BKQD.device.type == "cpu" and q_BKQD.dtype == torch.float32:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q_BKQD, k_BKSD, v_BKSD, 0.0, False, attn_mask=mask
        )
        return out, lse
    heads_per_key = q_BKQD.size(1) // k_BKSD.size(1)
    if heads_per_key > 1:
        k_BKSD = k_BKSD.repeat_interleave(heads_per_key, dim=1)
        v_BKSD = v_BKSD.repeat_interleave(heads_per_key, dim=1)
    scale = 1.0 / math.sqrt(q_BKQD.size(-1))
    scores = (q_BKQD @ k_BKSD.transpose(-1, -2)).float() * scale + mask
    lse = scores.logsumexp(-1)
    weights = (scores - lse.unsqueeze(-1)).exp()
    return weights.to(v_BKSD.dtype) @ v_BKSD, lse


def merge(out1: Tensor, lse1: Tensor, out2: Tensor, lse2: Tensor) -> Tensor:
    """Attention over two sets of keys from the attention over each; outputs `[..., D]`.

    The weight of the second is sigmoid(lse2 - lse1), spelled with exp: torch's vectorized sigmoid
    rounds differently in the last elements of a tensor, so a row's bits would depend on its place.
    Source: Hydragen, arXiv 2402.05099, section 3.2.
    """
    weight2 = 1.0 / (1.0 + torch.exp(lse1 - lse2))
    return out1 + (out2 - out1) * weight2.unsqueeze(-1).to(out1.dtype)


def length_mask(lengths_B: Tensor, num_keys: int) -> Tensor:
    """Additive mask `[B, 1, 1, num_keys]` in float32 that shows each entry its first keys."""
    hidden = torch.arange(num_keys, device=lengths_B.device) >= lengths_B.unsqueeze(-1)
    return _additive(hidden)[:, None, None]


def causal_mask(start: int, num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """Additive mask `[1, 1, num_queries, num_keys]` for queries at positions from `start` on."""
    positions = torch.arange(start, start + num_queries, device=device).unsqueeze(-1)
    hidden = torch.arange(num_keys, device=device) > positions
    return _additive(hidden)[None, None]


def _additive(hidden: Tensor) -> Tensor:
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -math.inf)
