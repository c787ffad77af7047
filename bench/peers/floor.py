"""The floor: the time of the linear layers alone, at the shapes that a workload implies.

An engine whose attention, sampling and bookkeeping took no time would be as fast as this, if it ran
all rows at once. So arrivals are ignored, and a row starts as soon as one of MAX_ROWS is free. The
layers are the engine's own: their product was found to be at least as fast as torch's.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from bench.model import BenchModel
from bench.names import FLOOR
from bench.peers.rowmill import MAX_ROWS
from bench.workload import Workload

_PREFILL_TOKENS = 2048


class Floor:
    name = FLOOR

    def __init__(self, model: BenchModel) -> None:
        gpt, width = model.gpt(), model.config.n_embd
        self._head = gpt.lm_head
        self._layers = [its for its in gpt.transformer.modules() if isinstance(its, nn.Linear)]
        self._inputs = {
            size: torch.randn(
                max(_PREFILL_TOKENS, MAX_ROWS), size, device=model.device, dtype=model.dtype
            )
            for size in (width, 4 * width)
        }

    @torch.inference_mode()
    def run(self, workload: Workload) -> int:
        prompts = [len(request.prompt_tokens) for request in workload.requests]
        for num_tokens, num_ended in prefill_shapes(prompts):
            self._multiply(num_tokens, num_ended)
        for num_rows in decode_shapes(workload.row_lengths, MAX_ROWS):
            self._multiply(num_rows, num_rows)
        return sum(workload.row_lengths)

    def _multiply(self, num_tokens: int, num_logits: int) -> None:
        """The products of one forward, each layer's weights in turn, so that caches are as warm
        as there."""
        for layer in self._layers:
            layer(self._inputs[layer.in_features][:num_tokens])
        if num_logits:
            self._head(self._inputs[self._head.in_features][:num_logits])


def prefill_shapes(prompt_lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Per batch of prompt tokens: how many there are, and how many of them end a prompt."""
    ends = Counter((end - 1) // _PREFILL_TOKENS for end in itertools.accumulate(prompt_lengths))
    total = sum(prompt_lengths)
    for batch, start in enumerate(range(0, total, _PREFILL_TOKENS)):
        yield min(_PREFILL_TOKENS, total - start), ends[batch]


def decode_shapes(row_lengths: Sequence[int], max_rows: int) -> list[int]:
    """Rows per decode step, where a row starts at once or as soon as another makes room.

    A row's first token comes of its prompt's logits, so it decodes one time less than it is long.
    """
    counts: Counter[int] = Counter()
    busy_until: list[int] = []
    for length in row_lengths:
        start = heapq.heappop(busy_until) if len(busy_until) == max_rows else 0
        heapq.heappush(busy_until, start + length - 1)
        counts.update(range(start, start + length - 1))
    return [counts[step] for step in sorted(counts)]
