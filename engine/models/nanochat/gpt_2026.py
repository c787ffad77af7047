"""nanochat's GPT since March 2026, with a packed forward.

The architecture of nanochat's gpt.py at commit 92d63d4e8b, which differs from that of 2025 by:

- smear: a token's embedding has a share of the one before it added, by a gate;
- scalars per layer that weigh the residual stream and the embedding, which is mixed in again;
- value embeddings: in every other layer, the last among them, the values have an embedding of the
  token added, by a gate per head;
- backout: a share of the residual stream after the layer in the middle is taken off the last one;
- windows: most layers see the last quarter of the context alone;
- sharper attention, and a larger base of the rotary embeddings.

Shape suffixes as in layers.py.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from engine.models.linear import Linear
from engine.models.nanochat.config import SMEAR_CHANNELS, GPT2026Config
from engine.models.nanochat.layers import Attention, Decoder, rope_tables
from engine.models.packed import Attend, AttentionRule, ModelShape
from engine.ops import add_norm, norm, sigmoid

_ROPE_BASE = 100_000
_SHARPNESS = 1.2
"""By which nanochat multiplies both queries and keys."""
_GATE_CHANNELS = 12
_MOST_OF_GATE = 3.0


class GatedAttention(Attention):
    """Attention whose values have an embedding of their tokens added."""

    def __init__(self, config: GPT2026Config, layer: int) -> None:
        super().__init__(config, layer)
        self.ve_gate = Linear(_GATE_CHANNELS, config.n_kv_head)

    def gated(self, embedded_TX: Tensor, x_TC: Tensor) -> Tensor:
        """What is added: the embeddings [T, K, D], each head's by its gate; `x_TC` opens it."""
        gate_TK = sigmoid(self.ve_gate(x_TC[:, :_GATE_CHANNELS])).mul_(_MOST_OF_GATE)
        embedded_TKD = embedded_TX.view(-1, self.heads[1], self.head_dim)
        return embedded_TKD.mul_(gate_TK.unsqueeze(-1))


class GPT2026(Decoder):
    """As `GPT`; its forward also takes each token's predecessor."""

    config: GPT2026Config

    def __init__(self, config: GPT2026Config) -> None:
        layers = range(config.n_layer)
        gated = [layer for layer in layers if (config.n_layer - 1 - layer) % 2 == 0]
        attentions = [(GatedAttention if n in gated else Attention)(config, n) for n in layers]
        super().__init__(config, attentions, rope_tables(config, _ROPE_BASE))
        self.value_embeds = nn.ModuleDict(
            {
                str(layer): nn.Embedding(self.padded_vocab_size, config.n_kv_head * config.head_dim)
                for layer in gated
            }
        )
        self.resid_lambdas = nn.Parameter(torch.empty(config.n_layer))
        self.x0_lambdas = nn.Parameter(torch.empty(config.n_layer))
        self.smear_gate = Linear(SMEAR_CHANNELS, 1)
        self.smear_lambda = nn.Parameter(torch.empty(1))
        self.backout_lambda = nn.Parameter(torch.empty(1))

    @property
    def shape(self) -> ModelShape:
        scale = _SHARPNESS**2 * self.config.head_dim**-0.5
        rules = tuple(AttentionRule(scale=scale, window=its) for its in self.config.windows)
        return dataclasses.replace(super().shape, rules=rules, reads_previous=True)

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None,
        previous_T: Tensor,
    ) -> Tensor:
        """See `GPT.forward`. `previous_T` holds the token before each, as int64."""
        rope = self.cos, self.sin
        embedded_TC = x_TC = middle_TC = self._embedded(tokens_T, positions_T, previous_T)
        weights = zip(self.resid_lambdas.unbind(), self.x0_lambdas.unbind(), strict=True)
        for layer, (block, (own, first)) in enumerate(zip(self.blocks, weights, strict=True)):
            # After the last attention only the wanted tokens matter.
            wanted_N = logit_index_N if layer == self.config.n_layer - 1 else None
            x_TC = (x_TC * own).add_(embedded_TC * first)
            y_TC = norm(x_TC)
            added_TKD = None
            if isinstance(block.attn, GatedAttention):
                added_TKD = block.attn.gated(self.value_embeds[str(layer)](tokens_T), y_TC)
            attended = block.attn(y_TC, positions_T, rope, attend, wanted_N, added_TKD)
            if wanted_N is not None:
                x_TC, middle_TC = x_TC[wanted_N], middle_TC[wanted_N]
            y_TC = add_norm(x_TC, attended)
            x_TC.add_(block.mlp(y_TC))
            if layer == self.config.n_layer // 2:
                middle_TC = x_TC
        return self.logits(norm(x_TC - middle_TC * self.backout_lambda))

    def _embedded(self, tokens_T: Tensor, positions_T: Tensor, previous_T: Tensor) -> Tensor:
        """The embeddings [T, C], smeared; a sequence's first token stays as it is."""
        x_TC = norm(self.transformer.wte(tokens_T))
        gate_T1 = sigmoid(self.smear_gate(x_TC[:, :SMEAR_CHANNELS])).mul_(self.smear_lambda)
        gate_T1.masked_fill_(positions_T.unsqueeze(-1) == 0, 0.0)
        return x_TC.add_(norm(self.transformer.wte(previous_T)).mul_(gate_T1))
