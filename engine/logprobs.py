"""How likely the model itself held the tokens that rows took. Shape suffixes: R rows, V vocabulary.

The logarithm of a token's probability under the raw logits: before temperature, filters and
whatever else the sampler does. docs/sampler.md defines it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_ALIGNMENT = 16
"""Floats. A row's sum is taken in an order that may go by where in memory the row begins."""
_LOWEST = torch.finfo(torch.float32).min


def token_logprobs(logits_RV: Tensor, tokens: Sequence[int]) -> list[float]:
    """Per row the float32 log-probability of its token; the lowest float32 where it is 0.

    `logits_RV` is float32, and no row's largest logit is NaN or infinite.
    """
    padding = -logits_RV.size(-1) % _ALIGNMENT
    padded_RV = F.pad(logits_RV, (0, padding), value=-torch.inf) if padding else logits_RV
    tokens_R1 = torch.tensor(tokens, device=logits_RV.device).unsqueeze(-1)
    logprobs_R1 = padded_RV.log_softmax(-1).gather(-1, tokens_R1)
    return logprobs_R1.squeeze(-1).clamp_(min=_LOWEST).tolist()
