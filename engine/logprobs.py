"""How likely tokens were: the model's own log-probabilities, or those by which a row was drawn.

docs/sampler.md defines them. Shape suffixes: R rows, V vocabulary, N the likeliest tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.native import kernels_for

_ALIGNMENT = 16
"""Floats. A row's sum is taken in an order that may go by where in memory the row begins."""
_LOWEST = torch.finfo(torch.float32).min


class TokenLogprobs(NamedTuple):
    """Of one position of a row."""

    token: float
    """Of the token that the row took."""
    top_tokens: list[int]
    """The likeliest ones, the likeliest first, the lowest ID on ties."""
    top_logprobs: list[float]


def token_logprobs(logits_RV: Tensor, tokens: Sequence[int]) -> list[float]:
    """Per row the float32 log-probability of its token; the lowest float32 where it is 0.

    `logits_RV` is float32, and no row's largest logit is NaN or infinite.
    """
    return [its.token for its in raw_logprobs(logits_RV, tokens, 0)]


def raw_logprobs(logits_RV: Tensor, tokens: Sequence[int], num_top: int) -> list[TokenLogprobs]:
    """The same, with those of each row's `num_top` likeliest tokens."""
    padding = -logits_RV.size(-1) % _ALIGNMENT
    padded_RV = F.pad(logits_RV, (0, padding), value=-torch.inf) if padding else logits_RV
    wanted = _wanted(logits_RV, tokens, num_top)
    logprobs = padded_RV.log_softmax(-1).gather(-1, wanted).clamp_(min=_LOWEST)
    return _by_row(logprobs.tolist(), wanted)


def drawn_logprobs(
    weights_RV: Tensor, totals: Sequence[float], tokens: Sequence[int], num_top: int
) -> list[TokenLogprobs]:
    """Those under the weights by which the rows were drawn; `totals` are the weights' sums.

    The logarithms are Python's: one number is the same wherever it stands in a tensor.
    """
    wanted = _wanted(weights_RV, tokens, num_top)
    shares = weights_RV.gather(-1, wanted).tolist()
    logprobs = [
        [math.log(weight) - math.log(total) if weight else _LOWEST for weight in row]
        for row, total in zip(shares, totals, strict=True)
    ]
    return _by_row(np.array(logprobs, dtype=np.float32).tolist(), wanted)


def _wanted(scores_RV: Tensor, tokens: Sequence[int], num_top: int) -> Tensor:
    """Per row its token, then those of the highest scores."""
    tokens_R1 = torch.tensor(tokens, device=scores_RV.device).unsqueeze(-1)
    return torch.cat([tokens_R1, top_tokens(scores_RV, num_top)], -1) if num_top else tokens_R1


def top_tokens(scores_RV: Tensor, num_top: int) -> Tensor:
    """Per row the tokens of the highest scores, the highest first, the lowest ID on ties."""
    kernels = kernels_for(scores_RV)
    if kernels is not None:
        scores_RV = scores_RV.contiguous()
        tokens = torch.empty(len(scores_RV), num_top, dtype=torch.int64)
        kernels.top_tokens(
            scores_RV.data_ptr(),
            tokens.data_ptr(),
            *scores_RV.shape,
            num_top,
            torch.get_num_threads(),
        )
        return tokens
    return scores_RV.sort(dim=-1, descending=True, stable=True).indices[:, :num_top]


def _by_row(logprobs: list[list[float]], tokens: Tensor) -> list[TokenLogprobs]:
    if tokens.size(-1) == 1:
        return [TokenLogprobs(row[0], [], []) for row in logprobs]
    return [
        TokenLogprobs(row[0], its[1:], row[1:])
        for row, its in zip(logprobs, tokens.tolist(), strict=True)
    ]
