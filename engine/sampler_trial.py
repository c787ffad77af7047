"""A trial of the sampler: a row alone, and in company. Shape suffixes: R rows, V vocabulary."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.logprobs import token_logprobs
from engine.sampler import sample
from engine.sampling_params import SamplingParams
from engine.trial import Trial

_NUM_ROWS = 32
_ANY_SIZE = 256
_SIZES = (1, 2, 3, 5, 8, 15)
_KINDS = (
    SamplingParams(),
    SamplingParams(temperature=0.7),
    SamplingParams(top_k=40),
    SamplingParams(top_p=0.9),
    SamplingParams(min_p=0.02),
    SamplingParams(temperature=0),
)


def sampler_trial(vocab_size: int | None, device: torch.device) -> Trial:
    """Rows of all kinds, at random numbers where one bit decides between two tokens; and how likely
    the model itself held these."""
    generator = torch.Generator().manual_seed(3)
    logits_RV = torch.randn(_NUM_ROWS, vocab_size or _ANY_SIZE, generator=generator)
    logits_RV = logits_RV.mul_(3).to(device)
    params = [_KINDS[row % len(_KINDS)] for row in range(_NUM_ROWS)]
    uniforms = _edges(logits_RV)

    def run(its_logits_RV: Tensor, rows_R: Tensor) -> Tensor:
        rows = rows_R.tolist()
        tokens = sample(
            its_logits_RV, [params[row] for row in rows], [uniforms[row] for row in rows]
        )
        drawn = [-1 if token is None else token for token in tokens]
        logprobs = token_logprobs(its_logits_RV, [max(token, 0) for token in drawn])
        return torch.tensor([drawn, logprobs], dtype=torch.float64).T

    inputs = (logits_RV, torch.arange(_NUM_ROWS))
    return Trial(name="the sampler", run=run, inputs=inputs, sizes=_SIZES, is_tiled=False)


def _edges(logits_RV: Tensor) -> list[float]:
    """Per row the number at which a token in the middle of the vocabulary begins."""
    weights_RV = (logits_RV - logits_RV.amax(-1, keepdim=True)).exp()
    cumulative_RV = weights_RV.cumsum(-1, dtype=torch.float64)
    middle = logits_RV.size(-1) // 2
    edges = (cumulative_RV[:, middle] / cumulative_RV[:, -1]).tolist()
    return [min(edge, math.nextafter(1.0, 0.0)) for edge in edges]
