"""The engine's attention in transformers: one function, registered once, that hands all on.

A model's forward takes keyword arguments that it does not know and passes them to the attention
function; that is how the engine's `attend` gets there. No mask function is registered, so that
transformers builds no mask.

Shape suffixes: T tokens of the flat batch, H query heads, K key/value heads, D their width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor

from engine.errors import ModelError
from engine.models.packed import Attend

NAME = "rowmill"
KEYWORD = "rowmill_attention"


class AttentionCalls(Protocol):
    """What one forward's attention calls, in order, are given to."""

    def __call__(
        self, module: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, options: Mapping[str, Any]
    ) -> Tensor: ...


def switch_attention(model: Any, name: str) -> None:
    """Have a transformers model attend by NAME, or by "eager". Raises ModelError where it can't."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)  # once or more often
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise ModelError("computes its attention by itself, and not by transformers' interface")


def _attention(
    module: Any,
    q_1HTD: Tensor,
    k_1KTD: Tensor,
    v_1KTD: Tensor,
    attention_mask: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    calls: AttentionCalls | None = options.pop(KEYWORD, None)
    if calls is None:
        raise ModelError("its forward does not hand arguments on to its attention")
    options["attention_mask"] = attention_mask
    q_THD, k_TKD, v_TKD = (its[0].transpose(0, 1) for its in (q_1HTD, k_1KTD, v_1KTD))
    return calls(module, q_THD, k_TKD, v_TKD, options).unsqueeze(0), None


class LayerCalls:
    """Gives the calls of one forward their numbers, and heads the width that caches have."""

    def __init__(self, attend: Attend, head_dim: int, value_dim: int) -> None:
        self._attend = attend
        self._head_dim = head_dim
        self._value_dim = value_dim
        self._layer = 0

    def __call__(
        self, module: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, options: Mapping[str, Any]
    ) -> Tensor:
        parts = [_padded(its, self._head_dim) for its in (q_THD, k_TKD, v_TKD)]
        out_THD = self._attend(self._layer, *parts)
        self._layer += 1
        return out_THD[..., : self._value_dim]


def _padded(x: Tensor, width: int) -> Tensor:
    """Heads side by side in memory, with zeros up to `width`.

    Zeros add nothing to a product of queries and keys, and outputs of them are cut.
    """
    if x.size(-1) < width:
        x = F.pad(x, (0, width - x.size(-1)))
    return x.flatten(1).view(x.shape)  # contiguous() lets odd strides of one head be
