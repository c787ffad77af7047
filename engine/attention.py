"""Masked attention that also returns its log-sum-exp, and the merge of two parts.

Shape suffixes: B batch entries, K key/value heads, Q queries per key/value head, S keys, D width.

On a CPU in float32 it is torch's flash kernel, called in shapes whose bits don't depend on what
shares the call: the number of keys a multiple of KEY_TILE, the kernel's last block of them whole if
it is at least half full, and queries that share a call padded to QUERY_TILE. Elsewhere, and where
scores are capped, it is written out; there the bits are as invariant as the device's products.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.invariance import KEY_TILE
from engine.models.packed import AttentionRule

_HALF_TILE = 512
"""Keys of a product in half precision; smaller tiles would take twice the time."""
_FLASH_BLOCK = 512
"""Keys that torch's kernel takes at once."""


def masked_attention(
    q_BKQD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor, rule: AttentionRule
) -> tuple[Tensor, Tensor]:
    """Attention under an additive mask (0 or -inf) that broadcasts to `[B, 1, Q, S]`.

    Returns the output `[B, K, Q, D]` and the float32 log-sum-exp `[B, K, Q]` of the scores. Every
    query must see at least one key; the rule's window is the mask's matter. Queries may also come
    per query head, `[B, H, Q, D]` with H a multiple of K; so does the output, then.
    """
    is_on_cpu = q_BKQD.device.type == "cpu"
    if is_on_cpu and q_BKQD.size(0) * q_BKQD.size(1) == 1:
        # Torch gives the products of a single head to all threads together, which on AMD's
        # processors sum in another order; those of several heads have a thread each.
        q_BKQD, k_BKSD, v_BKSD, mask = (_twice(its) for its in (q_BKQD, k_BKSD, v_BKSD, mask))
        out, lse = masked_attention(q_BKQD, k_BKSD, v_BKSD, mask, rule)
        return out[:1], lse[:1]
    is_torchs_kernel = is_on_cpu and q_BKQD.dtype == torch.float32
    if is_torchs_kernel and rule.softcap is None:
        k_BKSD, v_BKSD, mask = _in_whole_blocks(k_BKSD, v_BKSD, mask)
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q_BKQD, k_BKSD, v_BKSD, 0.0, False, attn_mask=mask, scale=rule.scale
        )
        return out, lse
    heads_per_key = q_BKQD.size(1) // k_BKSD.size(1)
    if heads_per_key > 1:
        k_BKSD = k_BKSD.repeat_interleave(heads_per_key, dim=1)
        v_BKSD = v_BKSD.repeat_interleave(heads_per_key, dim=1)
    tiles = _tiles(k_BKSD)
    scores = torch.cat([q_BKQD @ k_BKSD[:, :, tile].mT for tile in tiles], -1).float() * rule.scale
    if rule.softcap is not None:
        scores = rule.softcap * torch.tanh(scores / rule.softcap)
    scores = scores + mask
    lse = scores.logsumexp(-1)
    weights = (scores - lse.unsqueeze(-1)).exp().to(v_BKSD.dtype)
    sums = ((weights[..., tile] @ v_BKSD[:, :, tile]).float() for tile in tiles)
    return functools.reduce(torch.add, sums).to(v_BKSD.dtype), lse


def _twice(entry_1XYZ: Tensor) -> Tensor:
    return entry_1XYZ.expand(2, -1, -1, -1)


def _in_whole_blocks(k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """With hidden keys up to the end of the last block, if it is at least half full.

    The product of a block's weights and values sums in another order from 448 keys on, which shows
    in queries that see more than 256 of them; and on AMD's processors for 256 and 320.
    """
    num_keys = k_BKSD.size(2)
    missing = -num_keys % _FLASH_BLOCK
    if not 0 < missing <= _FLASH_BLOCK // 2:
        return k_BKSD, v_BKSD, mask
    k_BKSD, v_BKSD = (F.pad(its, (0, 0, 0, missing)) for its in (k_BKSD, v_BKSD))
    return k_BKSD, v_BKSD, F.pad(mask, (0, missing), value=-math.inf)


def _tiles(keys_BKSD: Tensor) -> list[slice]:
    """On a CPU a product for each tile of keys: one over all of them sums in an order that depends
    on their number, padding included (in float32 from 448 keys on, in float16 at 1024). Elsewhere
    one product, as calls are what costs there.
    """
    size = num_keys = keys_BKSD.size(2)
    if keys_BKSD.device.type == "cpu":
        size = KEY_TILE if keys_BKSD.dtype == torch.float32 else _HALF_TILE
    return [slice(start, start + size) for start in range(0, num_keys, size)]


def merge(out1: Tensor, lse1: Tensor, out2: Tensor, lse2: Tensor) -> Tensor:
    """Attention over two sets of keys from the attention over each; outputs `[..., D]`.

    The weight of the second is sigmoid(lse2 - lse1), spelled with exp: torch's vectorized sigmoid
    rounds differently in the last elements of a tensor, so a row's bits would depend on its place.
    Source: Hydragen, arXiv 2402.05099, section 3.2.
    """
    weight2 = 1.0 / (1.0 + torch.exp(lse1 - lse2))
    return out1 + (out2 - out1) * weight2.unsqueeze(-1).to(out1.dtype)


def visible_mask(
    positions_BQ: Tensor, ends_BQ: Tensor, num_keys: int, window: int | None
) -> Tensor:
    """Additive mask `[B, 1, Q, num_keys]` in float32 of the keys that each query sees.

    They are those before its end, and of these the ones that the window at its position reaches;
    both are counted from the first key on. If it reaches none, the last one is shown.
    """
    keys_S, ends_BQ1 = torch.arange(num_keys, device=ends_BQ.device), ends_BQ.unsqueeze(-1)
    hidden = keys_S >= ends_BQ1
    if window is not None:
        begins_BQ1 = (positions_BQ.unsqueeze(-1) + 1 - window).minimum(ends_BQ1 - 1)
        hidden = hidden | (keys_S < begins_BQ1)
    mask = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -math.inf)
    return mask.unsqueeze(1)
