"""A workload as transformers takes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import GenerationConfig

from bench.workload import BenchRequest, Workload


def entries(workload: Workload) -> tuple[list[BenchRequest], int]:
    """The requests to hand over, and `num_return_sequences`. It is one number for all, so where
    requests want different numbers of rows, every row is a request."""
    if workload.is_uniform:
        return list(workload.requests), workload.requests[0].num_samples
    return [request for request in workload.requests for _ in range(request.num_samples)], 1


def generation_config(temperature: float, ends: Iterable[int], **fields: Any) -> Any:
    """Sampling from the whole vocabulary. Rows end at the tokens `ends` only."""
    eos = sorted(ends)
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    return GenerationConfig(**sampling, eos_token_id=eos or None, pad_token_id=0, **fields)


def kept(tokens: Sequence[int], max_tokens: int, ends: frozenset[int]) -> list[int]:
    """The part of a row that was asked for: to its end, and no longer than `max_tokens`."""
    row = list(tokens[:max_tokens])
    for index, token in enumerate(row):
        if token in ends:
            return row[: index + 1]
    return row
