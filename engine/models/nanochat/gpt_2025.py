"""nanochat's GPT of 2025, with a packed forward.

The architecture of nanochat's gpt.py at commit 8f979a8bda: rotary embeddings, RMS norm without
parameters (also on queries and keys, and after the embedding), ReLU^2 MLP, no biases, untied
head over a padded vocabulary, logits capped by tanh, grouped-query attention.
"""

from __future__ import annotations

from torch import Tensor

from engine.models.nanochat.config import GPTConfig
from engine.models.nanochat.layers import Attention, Decoder, rope_tables
from engine.models.packed import Attend
from engine.ops import add_norm, norm

_ROPE_BASE = 10_000


class GPT(Decoder):
    """nanochat's GPT over a flat batch of tokens; `attend` knows which of them belong together."""

    def __init__(self, config: GPTConfig) -> None:
        # Its angles are rounded to bfloat16 in every dtype.
        cos, sin = (its.bfloat16().float() for its in rope_tables(config, _ROPE_BASE))
        layers = range(config.n_layer)
        super().__init__(config, [Attention(config, layer) for layer in layers], (cos, sin))

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
        for layer, block in enumerate(self.blocks, start=1):
            # After the last attention only the wanted tokens matter.
            wanted_N = logit_index_N if layer == self.config.n_layer else None
            attended = block.attn(y_TC, positions_T, rope, attend, wanted_N)
            x_TC = x_TC if wanted_N is None else x_TC[wanted_N]
            y_TC = add_norm(x_TC, attended)
            y_TC = add_norm(x_TC, block.mlp(y_TC))
        return self.logits(y_TC)
