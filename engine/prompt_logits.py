"""What becomes of a prompt's logits. Shape suffixes: R rows, K tokens of a chunk, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.logprobs import token_logprobs
from engine.row_state import RowState
from engine.runner import Chunk

_BLOCK = 64
"""Log-probabilities take as much memory again as their logits: so many tokens at a time."""


def keep_prompt_logits(chunks: Sequence[Chunk], logits_of: Sequence[Tensor]) -> None:
    """A prompt's last logits stay until all rows of its request have drawn from them.

    Of the others, those that were asked for, the log-probabilities stay.
    """
    for chunk, logits_KV in zip(chunks, logits_of, strict=True):
        request = chunk.request
        if request.params.return_prompt_logprobs:
            request.prompt_logprobs += _following(chunk, logits_KV)
        if chunk.is_last:
            request.prompt_logits_V = logits_KV[-1].clone()


def with_first_logits(logits_RV: Tensor, started: Sequence[RowState]) -> Tensor:
    """Logits `[rows, vocab]` of the rows that ran, then those after the prompts of the started."""
    if not started:
        return logits_RV
    first = [row.request.prompt_logits_V for row in started]
    first_RV = torch.stack([its for its in first if its is not None])
    return torch.cat([logits_RV, first_RV]) if len(logits_RV) else first_RV


def _following(chunk: Chunk, logits_KV: Tensor) -> Iterator[float]:
    """That of each token that comes after one of the chunk's."""
    tokens = chunk.request.request.prompt_tokens[chunk.start + 1 : chunk.end + 1]
    for first in range(0, len(tokens), _BLOCK):
        block = tokens[first : first + _BLOCK]
        yield from token_logprobs(logits_KV[first : first + len(block)], block)
