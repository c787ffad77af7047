"""A model that is small enough for every peer, and what to give it."""

from __future__ import annotations

import torch

from bench.model import BenchModel, random_model
from bench.workload import BenchRequest, Workload
from engine.models.nanochat import GPTConfig
from tests.engine.runs import prompt_of

CPU = torch.device("cpu")


def small_model() -> BenchModel:
    """Grouped queries, and a vocabulary that its checkpoints pad."""
    config = GPTConfig(
        sequence_len=256, vocab_size=131, n_layer=2, n_head=4, n_kv_head=2, n_embd=64
    )
    return random_model(config, CPU, torch.float32)


def workload_of(*sizes: tuple[int, int, int], arrivals: tuple[int, ...] = ()) -> Workload:
    """Requests of (prompt tokens, rows, tokens per row)."""
    requests = [
        BenchRequest(
            prompt_tokens=tuple(prompt_of(num_prompt_tokens, index)),
            num_samples=num_samples,
            max_tokens=max_tokens,
            row_lengths=(max_tokens,) * num_samples,
            arrival=arrivals[index] if arrivals else 0,
        )
        for index, (num_prompt_tokens, num_samples, max_tokens) in enumerate(sizes)
    ]
    return Workload(name="test", requests=tuple(requests))


SINGLES = workload_of((9, 1, 7), (14, 1, 7))
UNIFORM = workload_of((9, 3, 7), (9, 3, 7))
MIXED = workload_of((5, 2, 9), (17, 1, 4), (70, 3, 12), arrivals=(0, 6, 500))
