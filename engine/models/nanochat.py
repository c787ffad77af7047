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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ModelError
from engine.invariance import round_up
from engine.models.packed import Attend, ModelShape

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


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def _rotate(x_THD: Tensor, cos_T1d: Tensor, sin_T1d: Tensor) -> Tensor:
    """Rotate pairs (i, i + D/2) of each head by minus the position's angle, as nanochat does."""
    x1, x2 = x_THD.chunk(2, dim=-1)
    return torch.cat([x1 * cos_T1d + x2 * sin_T1d, x2 * cos_T1d - x1 * sin_T1d], dim=-1)


def _rope_tables(sequence_len: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin of every position's angles, [sequence_len, head_dim / 2], rounded to bfloat16."""
    channels = torch.arange(0, head_dim, 2, dtype=torch.float32)
    angles = torch.outer(
        torch.arange(sequence_len, dtype=torch.float32), 1.0 / (_ROPE_BASE ** (channels / head_dim))
    )
    return angles.cos().bfloat16(), angles.sin().bfloat16()


class Attention(nn.Module):
    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.n_embd // config.n_head
        self.c_q = nn.Linear(config.n_embd, config.n_head * self.head_dim, bias=False)
        self.c_k = nn.Linear(config.n_embd, config.n_kv_head * self.head_dim, bias=False)
        self.c_v = nn.Linear(config.n_embd, config.n_kv_head * self.head_dim, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x_TC: Tensor, cos_T1d: Tensor, sin_T1d: Tensor, attend: Attend) -> Tensor:
        q_THD = self.c_q(x_TC).unflatten(-1, (-1, self.head_dim))
        k_TKD = self.c_k(x_TC).unflatten(-1, (-1, self.head_dim))
        v_TKD = self.c_v(x_TC).unflatten(-1, (-1, self.head_dim))
        q_THD = _norm(_rotate(q_THD, cos_T1d, sin_T1d))
        k_TKD = _norm(_rotate(k_TKD, cos_T1d, sin_T1d))
        return self.c_proj(attend(self.layer, q_THD, k_TKD, v_TKD).flatten(-2))  # type: ignore[no-any-return]


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x_TC: Tensor) -> Tensor:
        return self.c_proj(F.relu(self.c_fc(x_TC)).square())  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config)

    def forward(self, x_TC: Tensor, cos_T1d: Tensor, sin_T1d: Tensor, attend: Attend) -> Tensor:
        x_TC = x_TC + self.attn(_norm(x_TC), cos_T1d, sin_T1d, attend)
        return x_TC + self.mlp(_norm(x_TC))  # type: ignore[no-any-return]


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
        self.lm_head = nn.Linear(config.n_embd, padded_vocab_size, bias=False)
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
        cos_T1d, sin_T1d = self.cos[positions_T].unsqueeze(-2), self.sin[positions_T].unsqueeze(-2)
        x_TC = _norm(self.transformer.wte(tokens_T))
        for block in self.transformer.h:
            x_TC = block(x_TC, cos_T1d, sin_T1d, attend)
        x_NC = _norm(x_TC if logit_index_N is None else x_TC[logit_index_N])
        logits_NV = self.lm_head(x_NC)[..., : self.config.vocab_size].float()
        return _LOGIT_CAP * torch.tanh(logits_NV / _LOGIT_CAP)
