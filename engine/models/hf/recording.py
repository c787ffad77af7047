"""A forward that is watched: how each layer attends, as its own calls say, and not its config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError
from engine.models.packed import AttentionRule

_UNDERSTOOD = frozenset({"scaling", "sliding_window", "softcap"})
# They say nothing of what a query sees, or what the engine knows better.
_HARMLESS = frozenset({"dropout", "position_ids", "use_cache", "output_router_logits"})


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """What one attention call showed."""

    module: Any
    num_heads: int
    num_kv_heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype
    rule: AttentionRule


class RecordedCalls:
    """Takes down the calls of one forward, and attends as they ask, by the plainest means.

    The batch is whole sequences one after the other, of `lengths`. Raises ModelError for a call
    that asks for what the engine's attention can't do.
    """

    def __init__(self, lengths: tuple[int, ...], device: torch.device) -> None:
        self.calls: list[Call] = []
        sequence_T = torch.repeat_interleave(torch.tensor(lengths, device=device))
        place_T = torch.arange(len(sequence_T), device=device)
        self._distance_TT = place_T.unsqueeze(-1) - place_T
        self._is_own_TT = sequence_T.unsqueeze(-1) == sequence_T

    def __call__(
        self, module: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, options: Mapping[str, Any]
    ) -> Tensor:
        rule = _rule_of(options, q_THD.size(-1))
        heads, kv_heads = q_THD.size(1), k_TKD.size(1)
        if heads % kv_heads or v_TKD.size(1) != kv_heads or k_TKD.dtype != v_TKD.dtype:
            raise ModelError(
                f"attends with {heads} heads of queries, {kv_heads} of keys and {v_TKD.size(1)} "
                "of values"
            )
        widths = k_TKD.size(-1), v_TKD.size(-1)
        self.calls.append(Call(module, heads, kv_heads, *widths, k_TKD.dtype, rule))
        return self._attend(rule, q_THD, k_TKD, v_TKD)

    def _attend(self, rule: AttentionRule, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        group = q_THD.size(1) // k_TKD.size(1)
        q_HTD, k_HTD, v_HTD = (
            its.transpose(0, 1).float()
            for its in (q_THD, *(x.repeat_interleave(group, dim=1) for x in (k_TKD, v_TKD)))
        )
        scores_HTT = q_HTD @ k_HTD.transpose(-1, -2) * rule.scale
        if rule.softcap is not None:
            scores_HTT = (scores_HTT / rule.softcap).tanh() * rule.softcap
        is_seen_TT = self._is_own_TT & (self._distance_TT >= 0)
        if rule.window is not None:
            is_seen_TT &= self._distance_TT < rule.window
        weights_HTT = scores_HTT.masked_fill(~is_seen_TT, -torch.inf).softmax(-1)
        return (weights_HTT @ v_HTD).transpose(0, 1).to(v_TKD.dtype)


def _rule_of(options: Mapping[str, Any], width: int) -> AttentionRule:
    asked = {name: value for name, value in options.items() if not _is_nothing(name, value)}
    if unknown := sorted(asked.keys() - _UNDERSTOOD - _HARMLESS):
        raise ModelError(f"attends with {', '.join(unknown)}, which the engine's attention lacks")
    return AttentionRule(
        scale=float(asked.get("scaling", width**-0.5)),
        window=asked.get("sliding_window"),
        softcap=asked.get("softcap"),
    )


def _is_nothing(name: str, value: Any) -> bool:
    return value is None or value is (name == "is_causal")
