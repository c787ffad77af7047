"""What both versions of nanochat's GPT are made of. Module names are those of its checkpoints.

Shape suffixes: T tokens of the flat batch, C width of the residual stream, H query heads,
K key/value heads, D head width, N tokens whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.invariance import round_up
from engine.models.linear import Linear
from engine.models.nanochat.config import GPTConfig
from engine.models.packed import Attend, ModelShape
from engine.ops import relu_square_, rotate_norm_

_LOGIT_CAP = 15.0
_VOCAB_MULTIPLE = 64

Rope = tuple[Tensor, Tensor]
"""cos and sin of every position's angles, [sequence_len, head_dim / 2], float32."""


def rope_tables(config: GPTConfig, base: float) -> Rope:
    """Real values even where weights are made on `meta`: no checkpoint has them."""
    channels = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu")
    positions = torch.arange(config.sequence_len, dtype=torch.float32, device="cpu")
    angles = torch.outer(positions, 1.0 / (base ** (channels / config.head_dim)))
    return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Queries, keys and values come from one product; checkpoints have a matrix for each."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        self.heads = [config.n_head, config.n_kv_head, config.n_kv_head]
        self.c_qkv = Linear(config.n_embd, sum(self.heads) * self.head_dim)
        self.c_proj = Linear(config.n_embd, config.n_embd)
        self.register_state_dict_post_hook(_split_qkv)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_join_qkv)  # type: ignore[no-untyped-call]

    def forward(
        self,
        x_TC: Tensor,
        positions_T: Tensor,
        rope: Rope,
        attend: Attend,
        wanted_N: Tensor | None,
        added_TKD: Tensor | None = None,
    ) -> Tensor:
        """`added_TKD` is added to the values."""
        qkv_THD = self.c_qkv(x_TC).unflatten(-1, (-1, self.head_dim))
        rotate_norm_(qkv_THD[:, : self.heads[0] + self.heads[1]], positions_T, *rope)
        q_THD, k_TKD, v_TKD = qkv_THD.split(self.heads, dim=1)
        if added_TKD is not None:
            v_TKD.add_(added_TKD)
        out_THD = attend(self.layer, q_THD, k_TKD, v_TKD)
        if wanted_N is not None:
            out_THD = out_THD[wanted_N]
        return self.c_proj(out_THD.flatten(-2))  # type: ignore[no-any-return]


_QKV = ("c_q.weight", "c_k.weight", "c_v.weight")


def _split_qkv(
    module: nn.Module, weights: dict[str, Tensor], prefix: str, metadata: dict[str, Any]
) -> None:
    """A state dict names the three matrices; they share the memory of the one."""
    assert isinstance(module, Attention)
    sizes = [heads * module.head_dim for heads in module.heads]
    parts = weights.pop(f"{prefix}c_qkv.weight").split(sizes)  # type: ignore[no-untyped-call]
    weights.update({f"{prefix}{name}": part for name, part in zip(_QKV, parts, strict=True)})


def _join_qkv(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    parts = [weights.pop(f"{prefix}{name}") for name in _QKV if f"{prefix}{name}" in weights]
    if len(parts) == len(_QKV):
        weights[f"{prefix}c_qkv.weight"] = torch.cat(parts)


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x_TC: Tensor) -> Tensor:
        return self.c_proj(relu_square_(self.c_fc(x_TC)))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, attention: Attention, mlp: MLP) -> None:
        super().__init__()
        self.attn = attention
        self.mlp = mlp


class Transformer(nn.Module):
    """A namespace of nanochat's checkpoints: the embedding and the blocks."""

    def __init__(self, embedding: nn.Embedding, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.wte = embedding
        self.h = nn.ModuleList(blocks)


class Decoder(nn.Module):
    """All of a version but its forward."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig, attentions: Sequence[Attention], rope: Rope) -> None:
        super().__init__()
        self.config = config
        self.padded_vocab_size = round_up(config.vocab_size, _VOCAB_MULTIPLE)
        self.transformer = Transformer(
            nn.Embedding(self.padded_vocab_size, config.n_embd),
            [Block(attention, MLP(config)) for attention in attentions],
        )
        self.lm_head = Linear(config.n_embd, self.padded_vocab_size)
        self.register_buffer("cos", rope[0], persistent=False)
        self.register_buffer("sin", rope[1], persistent=False)

    @property
    def shape(self) -> ModelShape:
        return ModelShape(
            num_layers=self.config.n_layer,
            num_heads=self.config.n_head,
            num_kv_heads=self.config.n_kv_head,
            head_dim=self.config.head_dim,
            vocab_size=self.config.vocab_size,
            max_seq_len=self.config.sequence_len,
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.lm_head.weight.dtype

    @property
    def blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.transformer.h))

    def get_device(self) -> torch.device:
        return self.lm_head.weight.device

    def logits(self, y_NC: Tensor) -> Tensor:
        """[N, V] in float32, within 15 of zero."""
        logits_NV: Tensor = self.lm_head(y_NC)[..., : self.config.vocab_size].float()
        return logits_NV.div_(_LOGIT_CAP).tanh_().mul_(_LOGIT_CAP)
