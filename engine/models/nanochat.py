"""nanochat's GPT, with a packed forward.

The architecture of nanochat's gpt.py at commit 8f979a8bda: rotary embeddings, RMS norm without
parameters (also on queries and keys, and after the embedding), ReLU^2 MLP, no biases, untied
head over a padded vocabulary, logits capped by tanh, grouped-query attention. Module names are
those of its checkpoints.

Shape suffixes: T tokens of the flat batch, C width of the residual stream, H query heads,
K key/value heads, D head width, N tokens whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.invariance import round_up
from engine.models.linear import Linear
from engine.models.packed import Attend, ModelShape
from engine.ops import add_norm, norm, relu_square_, rotate_norm_

_ROPE_BASE = 10_000
_LOGIT_CAP = 15.0
_VOCAB_MULTIPLE = 64
_MOST = 2**22  # of anything in a config: more is a broken file, not a model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GPTConfig:
    """The `model_config` of a nanochat checkpoint, under its own field names."""

    sequence_len: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_kv_head: int
    n_embd: int

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> GPTConfig:
        """Check a parsed `model_config`. Raises ModelError naming the first field that is off."""
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(fields.keys() - names):
            raise ModelError(
                f"model_config has fields this architecture lacks: {', '.join(unknown)}"
            )
        if missing := sorted(names - fields.keys()):
            raise ModelError(f"model_config lacks {', '.join(missing)}")
        for name in sorted(names):
            value = fields[name]
            if type(value) is not int or not 1 <= value <= _MOST:
                raise ModelError(
                    f"model_config.{name} must be an integer from 1 to {_MOST}, not {value!r}"
                )
        config = cls(**fields)
        if config.n_embd % config.n_head or config.n_head % config.n_kv_head:
            raise ModelError("model_config: n_head must divide n_embd, and n_kv_head n_head")
        if (config.n_embd // config.n_head) % 2:
            raise ModelError("model_config: the head width n_embd / n_head must be even")
        return config


def _rope_tables(sequence_len: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin of every position's angles, [sequence_len, head_dim / 2], rounded to bfloat16
    as nanochat's are, and kept in float32."""
    channels = torch.arange(0, head_dim, 2, dtype=torch.float32)
    angles = torch.outer(
        torch.arange(sequence_len, dtype=torch.float32), 1.0 / (_ROPE_BASE ** (channels / head_dim))
    )
    return angles.cos().bfloat16().float(), angles.sin().bfloat16().float()


class Attention(nn.Module):
    """Queries, keys and values come from one product; checkpoints have a matrix for each."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.n_embd // config.n_head
        self.heads = [config.n_head, config.n_kv_head, config.n_kv_head]
        self.c_qkv = Linear(config.n_embd, sum(self.heads) * self.head_dim)
        self.c_proj = Linear(config.n_embd, config.n_embd)
        self.register_state_dict_post_hook(_split_qkv)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_join_qkv)  # type: ignore[no-untyped-call]

    def forward(
        self,
        x_TC: Tensor,
        positions_T: Tensor,
        rope: tuple[Tensor, Tensor],
        attend: Attend,
        wanted_N: Tensor | None,
    ) -> Tensor:
        qkv_THD = self.c_qkv(x_TC).unflatten(-1, (-1, self.head_dim))
        rotate_norm_(qkv_THD[:, : self.heads[0] + self.heads[1]], positions_T, *rope)
        out_THD = attend(self.layer, *qkv_THD.split(self.heads, dim=1))
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
    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config)


class Transformer(nn.Module):
    """A namespace of nanochat's checkpoints: the embedding and the blocks."""

    def __init__(self, config: GPTConfig, padded_vocab_size: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(padded_vocab_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))


class GPT(nn.Module):
    """nanochat's GPT over a flat batch of tokens; `attend` knows which of them belong together."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        padded_vocab_size = round_up(config.vocab_size, _VOCAB_MULTIPLE)
        self.transformer = Transformer(config, padded_vocab_size)
        self.lm_head = Linear(config.n_embd, padded_vocab_size)
        # Buffers outside the state dict: real values even where the weights are on `meta`.
        with torch.device("cpu"):
            cos, sin = _rope_tables(config.sequence_len, config.n_embd // config.n_head)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @property
    def shape(self) -> ModelShape:
        return ModelShape(
            num_layers=self.config.n_layer,
            num_heads=self.config.n_head,
            num_kv_heads=self.config.n_kv_head,
            head_dim=self.config.n_embd // self.config.n_head,
            vocab_size=self.config.vocab_size,
            max_seq_len=self.config.sequence_len,
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.lm_head.weight.dtype

    def get_device(self) -> torch.device:
        return self.lm_head.weight.device

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None = None,
    ) -> Tensor:
        """Logits [N, V] in float32 of the tokens at `logit_index_N` (of all tokens when None).

        `tokens_T` and `positions_T` are int64; position is a token's place in its own sequence.
        """
        rope = self.cos, self.sin
        x_TC = norm(self.transformer.wte(tokens_T))
        y_TC = norm(x_TC)
        for layer, block in enumerate(cast("list[Block]", self.transformer.h), start=1):
            # After the last attention only the wanted tokens matter.
            wanted_N = logit_index_N if layer == self.config.n_layer else None
            attended = block.attn(y_TC, positions_T, rope, attend, wanted_N)
            x_TC = x_TC if wanted_N is None else x_TC[wanted_N]
            y_TC = add_norm(x_TC, attended)
            y_TC = add_norm(x_TC, block.mlp(y_TC))
        logits_NV: Tensor = self.lm_head(y_TC)[..., : self.config.vocab_size].float()
        return logits_NV.div_(_LOGIT_CAP).tanh_().mul_(_LOGIT_CAP)
