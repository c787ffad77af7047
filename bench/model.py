"""The models that are measured: their weights, which every peer takes in its own way.

Weights go by the names of nanochat's checkpoints, as `GPT.load_state_dict` reads them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from bench.config import BenchConfig
from engine.models import DEMO
from engine.models.checkpoint import find_checkpoint, read_weights
from engine.models.load import model_folder
from engine.models.nanochat import GPT, GPTConfig
from vocab import find_tokenizer
from vocab.tokenizer import Tokenizer

REFERENCE = GPTConfig(
    sequence_len=1024, vocab_size=8192, n_layer=6, n_head=6, n_kv_head=6, n_embd=384
)
"""17 million parameters: large enough that products matter on a CPU, small enough for a bench."""

QUICK = GPTConfig(sequence_len=1024, vocab_size=256, n_layer=2, n_head=2, n_kv_head=2, n_embd=32)
"""For a smoke test: its figures mean nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchModel:
    """Weights with all that a peer needs to run them."""

    config: GPTConfig
    weights: dict[str, Tensor]
    """On the device and in the dtype that is measured."""
    tokenizer: Tokenizer | None
    """None where rows end by their length alone, so that all engines make as many tokens."""

    @property
    def device(self) -> torch.device:
        return self.weights["lm_head.weight"].device

    @property
    def dtype(self) -> torch.dtype:
        return self.weights["lm_head.weight"].dtype

    @property
    def head_dim(self) -> int:
        return self.config.n_embd // self.config.n_head

    @property
    def num_parameters(self) -> int:
        return sum(weight.numel() for weight in self.weights.values())

    @property
    def kv_bytes_per_token(self) -> int:
        per_layer = 2 * self.config.n_kv_head * self.head_dim
        return self.config.n_layer * per_layer * self.dtype.itemsize

    def summary(self) -> dict[str, int]:
        """What a reader of the figures wants to know of it."""
        return {"parameters": self.num_parameters, **dataclasses.asdict(self.config)}

    def gpt(self) -> GPT:
        """Rowmill's own model over these weights."""
        model = GPT(self.config).requires_grad_(False).eval()
        model.load_state_dict(self.weights)
        return model.to(device=self.device, dtype=self.dtype)


def bench_model(config: BenchConfig) -> BenchModel:
    """The random model of a bench, on its device."""
    shape = QUICK if config.is_quick else REFERENCE
    return random_model(shape, torch.device(config.device), config.torch_dtype)


def random_model(config: GPTConfig, device: torch.device, dtype: torch.dtype) -> BenchModel:
    """Seeded weights, scaled so that activations keep their size from layer to layer."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in GPT(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        scale = 1.0 if "wte" in name else shape[1] ** -0.5
        weights[name] = torch.randn(shape, generator=generator) * scale
    return BenchModel(config=config, weights=_to(weights, device, dtype), tokenizer=None)


def demo_model(config: BenchConfig) -> BenchModel:
    """The shipped model."""
    checkpoint = find_checkpoint(model_folder(DEMO))
    return BenchModel(
        config=GPTConfig.from_json(checkpoint.model_config),
        weights=_to(
            read_weights(checkpoint.weights_path), torch.device(config.device), config.torch_dtype
        ),
        tokenizer=find_tokenizer(checkpoint.folder, checkpoint.tokenizer_name),
    )


def _to(weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(device=device, dtype=dtype) for name, value in weights.items()}
