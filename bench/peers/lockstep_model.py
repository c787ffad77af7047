"""nanochat's model with its own interface: rows side by side, all at the same position.

Shape suffixes: B rows, T tokens, C width, H query heads, K key/value heads, D head width,
d half of it, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.model import BenchModel
from engine import KVCache

_ROPE_BASE = 10_000
_LOGIT_CAP = 15.0


class LockstepModel:
    """Plain torch on a BenchModel's weights; shares no code with Rowmill's own model."""

    def __init__(self, model: BenchModel) -> None:
        self.config = model.config
        self.head_dim = model.head_dim
        self.device = model.device
        self._weights = model.weights
        channels = torch.arange(0, self.head_dim, 2, dtype=torch.float32)
        angles = torch.outer(
            torch.arange(self.config.sequence_len, dtype=torch.float32),
            1.0 / _ROPE_BASE ** (channels / self.head_dim),
        )
        # Rounded to bfloat16, as nanochat's tables are, whatever the dtype of the weights.
        self._cos_Td = angles.cos().bfloat16().to(self.device, model.dtype)
        self._sin_Td = angles.sin().bfloat16().to(self.device, model.dtype)

    def new_cache(self, num_rows: int, num_tokens: int) -> KVCache:
        config = self.config
        return KVCache(num_rows, config.n_kv_head, num_tokens, self.head_dim, config.n_layer)

    def forward(self, ids_BT: Tensor, kv_cache: KVCache) -> Tensor:
        """Float32 logits `[B, V]` of every row's last token. All tokens join the cache, which must
        be empty where T is more than one."""
        start, end = kv_cache.get_pos(), kv_cache.get_pos() + ids_BT.size(1)
        cos_Td, sin_Td = self._cos_Td[start:end], self._sin_Td[start:end]
        x_BTC = _norm(F.embedding(ids_BT, self._weights["transformer.wte.weight"]))
        for layer in range(self.config.n_layer):
            x_BTC = x_BTC + self._attention(layer, _norm(x_BTC), cos_Td, sin_Td, kv_cache)
            x_BTC = x_BTC + self._mlp(layer, _norm(x_BTC))
        x_BC = _norm(x_BTC[:, -1])
        logits_BV = F.linear(x_BC, self._weights["lm_head.weight"])
        logits_BV = logits_BV[:, : self.config.vocab_size].float()
        return _LOGIT_CAP * torch.tanh(logits_BV / _LOGIT_CAP)

    def _attention(
        self, layer: int, x_BTC: Tensor, cos_Td: Tensor, sin_Td: Tensor, kv_cache: KVCache
    ) -> Tensor:
        q_BHTD, k_BKTD, v_BKTD = (self._heads(layer, name, x_BTC) for name in "qkv")
        q_BHTD = _norm(_rotated(q_BHTD, cos_Td, sin_Td))
        k_BKTD = _norm(_rotated(k_BKTD, cos_Td, sin_Td))
        keys, values = kv_cache.insert_kv(layer, k_BKTD, v_BKTD)
        out_BHTD = F.scaled_dot_product_attention(
            q_BHTD,
            keys,
            values,
            is_causal=x_BTC.size(1) > 1,
            enable_gqa=self.config.n_head != self.config.n_kv_head,
        )
        return self._linear(layer, "attn.c_proj", out_BHTD.transpose(1, 2).flatten(2))

    def _heads(self, layer: int, name: str, x_BTC: Tensor) -> Tensor:
        num_rows, num_tokens, _ = x_BTC.shape
        projected = self._linear(layer, f"attn.c_{name}", x_BTC)
        return projected.view(num_rows, num_tokens, -1, self.head_dim).transpose(1, 2)

    def _mlp(self, layer: int, x_BTC: Tensor) -> Tensor:
        return self._linear(
            layer, "mlp.c_proj", F.relu(self._linear(layer, "mlp.c_fc", x_BTC)).square()
        )

    def _linear(self, layer: int, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self._weights[f"transformer.h.{layer}.{name}.weight"])


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def _rotated(x_BHTD: Tensor, cos_Td: Tensor, sin_Td: Tensor) -> Tensor:
    """Rotate pairs (i, i + D/2) of each head by minus the position's angle."""
    left, right = x_BHTD.chunk(2, dim=-1)
    return torch.cat([left * cos_Td + right * sin_Td, right * cos_Td - left * sin_Td], dim=-1)
