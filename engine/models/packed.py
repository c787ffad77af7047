"""What the engine asks of a model that runs packed: one flat batch for any mix of requests."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRule:
    """How the queries of a layer weigh the keys before them."""

    scale: float
    """What a query's products with keys are multiplied by."""
    window: int | None = None
    """A token sees itself and the `window - 1` before it; None: all of them."""
    softcap: float | None = None
    """A scaled score s becomes `softcap * tanh(s / softcap)`; None: it stays."""

    def __post_init__(self) -> None:
        assert self.window is None or self.window >= 1, "a token sees itself"
        assert self.softcap is None or self.softcap > 0, "None is no cap"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The numbers by which the engine sizes caches and checks prompts, and how layers attend."""

    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int | None
    """None where a model does not tell; tokens of a prompt are then not checked."""
    max_seq_len: int
    """Longest sequence, prompt and generated tokens together."""
    rules: tuple[AttentionRule, ...] = ()
    """How each layer attends; empty: all see everything, scaled by the root of the head width."""
    reads_previous: bool = False
    """Whether the forward also takes the token before each."""

    def __post_init__(self) -> None:
        if not self.rules:
            rule = AttentionRule(scale=self.head_dim**-0.5)
            object.__setattr__(self, "rules", (rule,) * self.num_layers)
        assert len(self.rules) == self.num_layers, "as many rules as layers"


class Attend(Protocol):
    """Append k and v to the KV cache and attend; a model calls it once per layer, in order."""

    def __call__(self, layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, /) -> Tensor:
        """The attention output [T, H, D] for queries [T, H, D], keys and values [T, K, D]."""


class PackedModel(Protocol):
    """A model with a packed forward; see `engine.models.nanochat.GPT` for the shapes."""

    @property
    def shape(self) -> ModelShape: ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the keys and values that it hands to `attend`."""

    def get_device(self) -> torch.device: ...

    def __call__(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None = None,
        *previous_T: Tensor,
    ) -> Tensor:
        """`previous_T` is one tensor where `shape.reads_previous` is true, else none.

        It holds the token before each of `tokens_T` in its own sequence, and in the place of a
        sequence's first token that token itself.
        """


def is_packed(model: Any) -> TypeGuard[PackedModel]:
    """Whether a model runs packed; else it is of nanochat's own interface."""
    return isinstance(getattr(model, "shape", None), ModelShape)
