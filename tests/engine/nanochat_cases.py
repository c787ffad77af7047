"""Tiny models of nanochat since March 2026 with every part of it at work, as vectors name them.

Weights go by their names in a checkpoint, so that any implementation can be given the same ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TypeVar
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from engine.models.nanochat import GPT2026, GPT2026Config
from engine.models.packed import Attend
from tests.engine.models import scrambled
from tests.engine.runs import prompt_of

Model = TypeVar("Model", bound=GPT2026)

NUM_TOKENS = 24
"""Generated after each prompt."""

# On both sides of a tile, of a window's end, also while generating, and of a prefill chunk.
LENGTHS = [1, 2, 15, 65, 110, 128, 129, 130, 257, 300]
LONG = [3, 250, 258, 511, 512, 513, 700]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    seed: int
    lengths: Sequence[int]
    config: GPT2026Config

    def prompts(self) -> list[list[int]]:
        return [prompt_of(length, length, self.config.vocab_size) for length in self.lengths]

    def model(self) -> GPT2026:
        return self._filled(GPT2026(self.config))

    def chaotic_model(self) -> ChaoticGPT2026:
        return self._filled(ChaoticGPT2026(self.config))

    def _filled(self, model: Model) -> Model:
        model.load_state_dict(weights_like(model.state_dict(), self.seed))
        return model.requires_grad_(False).eval()


def _case(
    seed: int, heads: tuple[int, int, int], layers: int, vocab: int, context: int, pattern: str
) -> Case:
    n_head, n_kv_head, head_dim = heads
    config = GPT2026Config(
        sequence_len=context,
        vocab_size=vocab,
        n_layer=layers,
        n_head=n_head,
        n_kv_head=n_kv_head,
        n_embd=n_head * head_dim,
        window_pattern=pattern,
    )
    return Case(seed=seed, lengths=LENGTHS if context == 512 else LONG, config=config)


CASES = {
    "groups": _case(1, (4, 2, 16), 4, 131, 512, "SSSL"),
    "one layer": _case(2, (2, 1, 16), 1, 67, 512, "S"),
    "one key head": _case(3, (6, 1, 10), 2, 70, 512, "S"),
    "long": _case(4, (2, 2, 32), 3, 128, 1024, "sL"),
    "deep": _case(5, (3, 3, 8), 7, 97, 512, "SSL"),
}


class ChaoticGPT2026(GPT2026):
    """See `tests.engine.models.ChaoticGPT`."""

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None,
        previous_T: Tensor,
    ) -> Tensor:
        logits = super().forward(tokens_T, positions_T, attend, logit_index_N, previous_T)
        return scrambled(logits)


def weights_like(shaped: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Values for tensors of these names and shapes: uniform numbers around a centre by the name."""
    return {name: _weight(name, tuple(its.shape), seed) for name, its in shaped.items()}


def _weight(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    generator = np.random.Generator(np.random.Philox(key=[seed, crc32(name.encode())]))
    centre, deviation = _distribution(name, shape)
    values = centre + (2 * generator.random(shape) - 1) * sqrt(3) * deviation
    return torch.from_numpy(values).float()


def _distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Centre and deviation."""
    for part, distribution in _SCALARS.items():
        if part in name:
            return distribution
    if "wte" in name or "value_embeds" in name:
        return 0.0, 1.0
    return 0.0, (3.0 if "gate" in name else 1.5) / shape[1] ** 0.5


_SCALARS = {
    "resid_lambdas": (1.0, 0.2),
    "x0_lambdas": (0.1, 0.3),
    "smear_lambda": (0.8, 0.1),
    "backout_lambda": (0.3, 0.1),
}
