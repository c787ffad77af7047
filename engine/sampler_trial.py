"""A trial of the sampler: a row alone, and in company. Shape suffixes: R rows, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.controls.apply import controlled
from engine.controls.compiled import ControlsCompiler
from engine.controls.logit_controls import RowControls
from engine.errors import RequestError
from engine.logprobs import TokenLogprobs, drawn_logprobs, raw_logprobs
from engine.request import Request
from engine.sampler import sample
from engine.sampling_params import SamplingParams
from engine.trial import Trial

_NUM_ROWS = 32
_ANY_SIZE = 256
_SIZES = (1, 2, 3, 5, 8, 15)
_NUM_TOP = 3
_KINDS = (
    SamplingParams(),
    SamplingParams(temperature=0.7),
    SamplingParams(top_k=40),
    SamplingParams(top_p=0.9),
    SamplingParams(min_p=0.02),
    SamplingParams(temperature=0),
    SamplingParams(repetition_penalty=1.3),
    SamplingParams(presence_penalty=0.7, frequency_penalty=0.3),
    SamplingParams(logit_bias={0: 1.7, 1: -0.3}, bad_words=((2,), (0, 1))),
    SamplingParams(stop_token_ids=(0, 1), min_tokens=1, repetition_penalty=0.8, temperature=0),
)


def sampler_trial(vocab_size: int | None, device: torch.device) -> Trial:
    """Rows of all kinds, at random numbers where one bit decides between two tokens; and how likely
    these and the likeliest were, by the model itself and by what they were drawn from."""
    size = vocab_size or _ANY_SIZE
    generator = torch.Generator().manual_seed(3)
    logits_RV = torch.randn(_NUM_ROWS, size, generator=generator)
    logits_RV = logits_RV.mul_(3).to(device)
    params = [_KINDS[row % len(_KINDS)] for row in range(_NUM_ROWS)]
    controls = [_controls(its, size) for its in params]
    uniforms = _edges(controlled(logits_RV, controls))

    def run(its_logits_RV: Tensor, rows_R: Tensor) -> Tensor:
        rows = rows_R.tolist()
        draw = sample(
            controlled(its_logits_RV, [controls[row] for row in rows]),
            [params[row] for row in rows],
            [uniforms[row] for row in rows],
        )
        tokens = [-1 if token is None else token for token in draw.tokens]
        taken = [max(token, 0) for token in tokens]
        num_top = min(_NUM_TOP, size)
        raw = raw_logprobs(its_logits_RV, taken, num_top)
        weights_RV, totals = draw.weights_of(range(len(rows)))
        processed = drawn_logprobs(weights_RV, totals, taken, num_top)
        columns = [[token] for token in tokens], _numbers(raw), _numbers(processed)
        return torch.cat([torch.tensor(its, dtype=torch.float64) for its in columns], -1)

    inputs = (logits_RV, torch.arange(_NUM_ROWS))
    return Trial(name="the sampler", run=run, inputs=inputs, sizes=_SIZES, is_tiled=False)


def _controls(params: SamplingParams, vocab_size: int) -> RowControls | None:
    """Of a row that begins, after a prompt of every other token."""
    prompt = range(0, vocab_size, 2)
    request = Request(id="trial", prompt_tokens=prompt, params=params)
    try:
        its = ControlsCompiler(vocab_size, None, frozenset()).compile(request, 2).logits
    except RequestError:  # a vocabulary of one token or two
        return None
    if its is None:
        return None
    row = RowControls(its, [])
    for token in prompt:
        row.observe(token)
    return row


def _numbers(logprobs: Sequence[TokenLogprobs]) -> list[list[float]]:
    return [[its.token, *its.top_tokens, *its.top_logprobs] for its in logprobs]


def _edges(logits_RV: Tensor) -> list[float]:
    """Per row the number at which a token in the middle of the vocabulary begins."""
    weights_RV = (logits_RV - logits_RV.amax(-1, keepdim=True)).exp()
    cumulative_RV = weights_RV.cumsum(-1, dtype=torch.float64)
    middle = logits_RV.size(-1) // 2
    edges = (cumulative_RV[:, middle] / cumulative_RV[:, -1]).tolist()
    return [min(edge, math.nextafter(1.0, 0.0)) for edge in edges]
