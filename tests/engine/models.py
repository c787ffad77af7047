"""Small real models for the tests, nanochat's own interface over them, and a naive reference.

Shape suffixes: B batch, T tokens, C width, H query heads, K key/value heads, D head width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from engine import KVCache
from engine.invariance import UNPROBED_ROW_TILE
from engine.models.nanochat import GPT, GPTConfig
from engine.models.packed import Attend, AttentionRule, ModelShape

# (query heads, key/value heads, head width, layers, vocabulary)
SHAPES = [(4, 4, 8, 2, 70), (4, 2, 16, 2, 131), (6, 1, 10, 1, 67), (2, 1, 32, 3, 128)]


class ChaoticGPT(GPT):
    """A GPT whose logits are a hash of the bits of a GPT's: one bit off, and all tokens change.

    Sampled tokens of an ordinary model hide nearly every rounding difference; these hide none.
    """

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None = None,
    ) -> Tensor:
        return scrambled(super().forward(tokens_T, positions_T, attend, logit_index_N))


class RuledGPT(GPT):
    """A GPT whose layers attend as `rules` say, by turns."""

    rules: tuple[AttentionRule, ...]

    @property
    def shape(self) -> ModelShape:
        by_turns = [self.rules[n % len(self.rules)] for n in range(self.config.n_layer)]
        return dataclasses.replace(super().shape, rules=tuple(by_turns))


class ChaoticRuledGPT(RuledGPT, ChaoticGPT):
    """Both."""


def scrambled(logits: Tensor) -> Tensor:
    """Numbers from 0 to 4 in which every bit of the float32 logits has its say; NaN stays."""
    bits = logits.contiguous().view(torch.int32).long()
    hashed = ((bits * 0x9E3779B1) >> 16 & 0xFFFF).float() / 2**14
    return hashed.masked_fill(logits.isnan(), torch.nan)


def random_model(
    n_head: int = 4,
    n_kv_head: int = 2,
    head_dim: int = 16,
    n_layer: int = 2,
    vocab_size: int = 131,
    *,
    sequence_len: int = 256,
    seed: int = 0,
    is_chaotic: bool = False,
    rules: Sequence[AttentionRule] = (),
) -> GPT:
    """A GPT with seeded weights, large enough that every part of it shows in the logits.

    Its layers take the rules by turns; without any they attend as nanochat's do.
    """
    config = GPTConfig(
        sequence_len=sequence_len,
        vocab_size=vocab_size,
        n_layer=n_layer,
        n_head=n_head,
        n_kv_head=n_kv_head,
        n_embd=n_head * head_dim,
    )
    if rules:
        model: GPT = (ChaoticRuledGPT if is_chaotic else RuledGPT)(config)
        model.rules = tuple(rules)
    else:
        model = (ChaoticGPT if is_chaotic else GPT)(config)
    model.requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.state_dict().items()):
        scale = (
            1.0 if "wte" in name else (3.0 if "lm_head" in name else 1.5) / weight.size(1) ** 0.5
        )
        weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return model


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """A product whose rows don't depend on how many there are, whatever tile the engine pads to.

    MKL's strict mode sees to that on Intel's processors only."""
    rows = x.flatten(0, -2)
    padding = -len(rows) % UNPROBED_ROW_TILE
    product = F.linear(F.pad(rows, (0, 0, 0, padding)), weight)[: len(rows)]
    return product.unflatten(0, x.shape[:-1])


class SeedModel:
    """nanochat's own interface, `forward(ids, kv_cache)`, over the weights of a GPT."""

    def __init__(self, model: GPT) -> None:
        self.config = model.config
        self._is_chaotic = isinstance(model, ChaoticGPT)
        self._weights = model.state_dict()

    def get_device(self) -> torch.device:
        return self._weights["lm_head.weight"].device

    def forward(self, ids: Tensor, kv_cache: KVCache | None = None) -> Tensor:
        config, weights = self.config, self._weights
        head_dim = config.n_embd // config.n_head
        start = 0 if kv_cache is None else kv_cache.get_pos()
        angles_TD = _angles(start, ids.size(1), head_dim, torch.float32)
        x_BTC = _rms(F.embedding(ids, weights["transformer.wte.weight"]))
        for layer in range(config.n_layer):
            block, y_BTC = f"transformer.h.{layer}.", _rms(x_BTC)
            q, k, v = (
                _linear(y_BTC, weights[f"{block}attn.c_{name}.weight"])
                .unflatten(-1, (-1, head_dim))
                .transpose(1, 2)
                for name in "qkv"
            )
            q, k = _rms(_rotated(q, *angles_TD)), _rms(_rotated(k, *angles_TD))
            if kv_cache is not None:
                k, v = kv_cache.insert_kv(layer, k, v)
            is_gqa = config.n_head != config.n_kv_head
            y = F.scaled_dot_product_attention(
                q, k, v, is_causal=q.size(2) == k.size(2), enable_gqa=is_gqa
            )
            y_BTC = y.transpose(1, 2).flatten(2)
            x_BTC = x_BTC + _linear(y_BTC, weights[f"{block}attn.c_proj.weight"])
            y_BTC = F.relu(_linear(_rms(x_BTC), weights[f"{block}mlp.c_fc.weight"])).square()
            x_BTC = x_BTC + _linear(y_BTC, weights[f"{block}mlp.c_proj.weight"])
        logits = _linear(_rms(x_BTC), weights["lm_head.weight"])[..., : config.vocab_size]
        logits = 15 * torch.tanh(logits / 15)
        return scrambled(logits) if self._is_chaotic else logits


class ScriptedModel:
    """nanochat's interface; it says the script's tokens after the prompt, whatever went before.

    Instead of a token the script may hold a position's logits, one per token of the vocabulary, or
    None where all tokens are as likely. Its last entry repeats.
    """

    def __init__(
        self,
        prompt_length: int,
        script: Sequence[int | Sequence[float] | None],
        vocab_size: int = 265,
    ) -> None:
        self.config = SimpleNamespace(
            n_layer=1, n_head=1, n_kv_head=1, n_embd=2, sequence_len=512, vocab_size=vocab_size
        )
        self._prompt_length = prompt_length
        self._script = list(script)

    def get_device(self) -> str:
        return "cpu"

    def forward(self, ids: Tensor, kv_cache: KVCache) -> Tensor:
        num_rows, num_tokens = ids.shape
        position = kv_cache.get_pos() + num_tokens - self._prompt_length
        zeros = torch.zeros(num_rows, 1, num_tokens, 2)
        kv_cache.insert_kv(0, zeros, zeros)
        logits = torch.zeros(num_rows, num_tokens, self.config.vocab_size)
        entry = self._script[min(position, len(self._script) - 1)]
        if isinstance(entry, int):
            logits[:, -1, entry] = 100.0
        elif entry is not None:
            logits[:, -1] = torch.tensor(entry)
        return logits


def naive_logits(model: GPT, tokens: Sequence[int]) -> Tensor:
    """nanochat's architecture over a whole sequence, without a cache, in float64: `[T, vocab]`.

    Layers attend as the model's shape says.
    Plain tensor operations on the state dict, so that it shares no code with the engine's model.
    """
    config, weights = model.config, {k: v.double() for k, v in model.state_dict().items()}
    head_dim, num_tokens = config.n_embd // config.n_head, len(tokens)
    angles_TD = _angles(0, num_tokens, head_dim, torch.float64)
    behind_TT = torch.arange(num_tokens)[:, None] - torch.arange(num_tokens)
    x_TC = _rms(weights["transformer.wte.weight"][torch.tensor(tokens)])
    for layer in range(config.n_layer):
        block, y_TC = f"transformer.h.{layer}.", _rms(x_TC)
        rule, heads = model.shape.rules[layer], []
        hidden_TT = (behind_TT < 0) | (behind_TT >= (rule.window or num_tokens))
        for head in range(config.n_head):
            kv_head = head * config.n_kv_head // config.n_head
            own, shared = (slice(n * head_dim, (n + 1) * head_dim) for n in (head, kv_head))
            q_TD = y_TC @ weights[f"{block}attn.c_q.weight"][own].T
            k_TD = y_TC @ weights[f"{block}attn.c_k.weight"][shared].T
            v_TD = y_TC @ weights[f"{block}attn.c_v.weight"][shared].T
            q_TD, k_TD = _rms(_rotated(q_TD, *angles_TD)), _rms(_rotated(k_TD, *angles_TD))
            scores_TT = q_TD @ k_TD.T * rule.scale
            if rule.softcap is not None:
                scores_TT = rule.softcap * torch.tanh(scores_TT / rule.softcap)
            heads.append(scores_TT.masked_fill(hidden_TT, -torch.inf).softmax(-1) @ v_TD)
        x_TC = x_TC + torch.cat(heads, -1) @ weights[f"{block}attn.c_proj.weight"].T
        inner_TM = (_rms(x_TC) @ weights[f"{block}mlp.c_fc.weight"].T).clamp(min=0) ** 2
        x_TC = x_TC + inner_TM @ weights[f"{block}mlp.c_proj.weight"].T
    logits = _rms(x_TC) @ weights["lm_head.weight"].T
    return 15 * torch.tanh(logits[:, : config.vocab_size] / 15)


def _rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()


def _rotated(x_TD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    left, right = x_TD.chunk(2, -1)
    return x_TD * cos_TD + torch.cat([right, -left], -1) * sin_TD


def _angles(start: int, length: int, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin `[T, D]`, rounded to bfloat16 as in nanochat's tables."""
    channels = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    positions = torch.arange(start, start + length, dtype=torch.float32)
    angles_TD = torch.outer(positions, 1.0 / 10_000**channels).repeat(1, 2)
    return angles_TD.cos().bfloat16().to(dtype), angles_TD.sin().bfloat16().to(dtype)
