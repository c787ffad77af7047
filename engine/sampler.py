"""Sampler specification v1: from logits and a row's own random numbers to tokens.

docs/sampler.md is the specification; this is its implementation. Nothing here looks across rows,
so what a row draws depends on its logits, its parameters and its numbers alone.

Shape suffixes: R rows, V vocabulary; D those rows that are drawn, P some of the rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.native import kernels_for
from engine.sampling_params import SamplingParams

_LOWEST_TEMPERATURE = 1e-6
_BLOCK = 64
_NO_TOKEN = -1


class UniformStream:
    """The numbers of one row: number t, uniform in [0, 1), is for generated position t."""

    def __init__(self, seed: int, row_index: int) -> None:
        self._key = (seed, row_index)
        self._generator: np.random.Generator | None = None
        self._block: list[float] = []
        self._next = 0

    def __call__(self, position: int) -> float:
        """The number of `position`; positions are asked for in rising order."""
        assert position >= self._next - len(self._block), "an earlier position than before"
        while position >= self._next:
            if self._generator is None:
                key = np.array(self._key, dtype=np.uint64)
                self._generator = np.random.Generator(np.random.Philox(key=key))
            self._block = self._generator.random(_BLOCK).tolist()
            self._next += _BLOCK
        return self._block[position - self._next]


def temperature_of(params: SamplingParams) -> float:
    """1 where neither the request nor the model says otherwise."""
    return 1.0 if params.temperature is None else params.temperature


def is_greedy(params: SamplingParams) -> bool:
    return temperature_of(params) < _LOWEST_TEMPERATURE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a step drew, and by which weights."""

    tokens: list[int | None]
    """One per row; None where its largest logit is NaN or infinite."""
    drawn: list[int]
    """The rows that are not greedy."""
    weights_DV: Tensor
    totals_D: Tensor
    """The weights' sums, float64."""

    def weights_of(self, rows: Sequence[int]) -> tuple[Tensor, list[float]]:
        """The weights `[P, V]` of these rows, and their sums. A greedy row has one weight, 1, on
        its token; none of these rows may be without one."""
        if list(rows) == self.drawn:
            return self.weights_DV, self.totals_D.tolist()
        lanes = {row: lane for lane, row in enumerate(self.drawn)}
        weights_PV = self.weights_DV.new_zeros(len(rows), self.weights_DV.size(-1))
        shared = [(place, lanes[row]) for place, row in enumerate(rows) if row in lanes]
        greedy = [place for place, row in enumerate(rows) if row not in lanes]
        weights_PV[[place for place, _ in shared]] = self.weights_DV[[lane for _, lane in shared]]
        weights_PV[greedy, [self.tokens[rows[place]] for place in greedy]] = 1.0
        totals = dict(zip(self.drawn, self.totals_D.tolist(), strict=True))
        return weights_PV, [totals.get(row, 1.0) for row in rows]


def sample(logits_RV: Tensor, params: Sequence[SamplingParams], uniforms: Sequence[float]) -> Draw:
    """Draw one token per row.

    `uniforms[r]` is row r's number for this position; greedy rows ignore theirs.
    """
    drawn = [row for row, its in enumerate(params) if not is_greedy(its)]
    if len(drawn) == len(params):
        weights_DV, tokens_R, totals_D = _draw(logits_RV, params, uniforms)
    else:
        weights_DV, tokens_D, totals_D = _draw(
            logits_RV[drawn], [params[row] for row in drawn], [uniforms[row] for row in drawn]
        )
        tokens_R = logits_RV.argmax(-1)
        tokens_R[drawn] = tokens_D
    is_finite_R = torch.isfinite(logits_RV.amax(-1))
    tokens = torch.where(is_finite_R, tokens_R, _NO_TOKEN).tolist()  # the one transfer of a step
    return Draw(
        tokens=[None if token == _NO_TOKEN else token for token in tokens],
        drawn=drawn,
        weights_DV=weights_DV,
        totals_D=totals_D,
    )


def _draw(
    logits_RV: Tensor, params: Sequence[SamplingParams], uniforms: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of the cumulative distribution, in vocabulary order, at each row's number.

    Returns the weights, the tokens, and the weights' sums.
    """
    if not params:
        return logits_RV, logits_RV.new_empty(0, dtype=torch.int64), logits_RV.new_empty(0)
    device = logits_RV.device
    temperature_R = torch.tensor(
        [temperature_of(its) for its in params], dtype=torch.float32, device=device
    )
    differences_RV = logits_RV - logits_RV.amax(-1, keepdim=True)
    if all(its.top_k is None for its in params):
        weights_RV = _exp_(differences_RV.div_(temperature_R[:, None]), params)
    else:
        weights_RV = _exp_(differences_RV / temperature_R[:, None], params)
        _keep_top_k(weights_RV, differences_RV, params)
    _keep_top_p(weights_RV, params)
    _keep_min_p(weights_RV, params)
    uniforms_R = torch.tensor(uniforms, dtype=torch.float64, device=device)
    return weights_RV, *_choose(weights_RV, uniforms_R)


def _exp_(exponents_RV: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """In place, of numbers that are at most 0.

    As exp takes ten times as long for minus infinity, which structures leave of most tokens, these
    are 1 meanwhile, as nothing else is. A mask to find them again would take almost as long.
    """
    if not any(its.is_structured for its in params):
        return exponents_RV.exp_()
    negated_RV = torch.threshold_(exponents_RV, -torch.inf, 1.0).exp_().neg_()
    return torch.threshold_(negated_RV, -1.5, -0.0).neg_()


def _choose(weights_RV: Tensor, uniforms_R: Tensor) -> tuple[Tensor, Tensor]:
    """Per row the first token whose running sum exceeds its number's share of the whole; and the
    whole."""
    kernels = kernels_for(weights_RV)
    if kernels is not None:
        assert weights_RV.is_contiguous() and uniforms_R.dtype == torch.float64
        tokens_R = uniforms_R.new_empty(uniforms_R.shape, dtype=torch.int64)
        totals_R = torch.empty_like(uniforms_R)
        kernels.draw(
            weights_RV.data_ptr(),
            uniforms_R.data_ptr(),
            tokens_R.data_ptr(),
            totals_R.data_ptr(),
            *weights_RV.shape,
            torch.get_num_threads(),
        )
        return tokens_R, totals_R
    cumulative_RV = weights_RV.cumsum(-1, dtype=torch.float64)
    target_R1 = (uniforms_R * cumulative_RV[:, -1]).unsqueeze(-1)
    chosen_R1 = torch.searchsorted(cumulative_RV, target_R1, right=True)
    # Where logits are NaN, so is the total, and no entry is found.
    tokens_R = chosen_R1.squeeze(-1).clamp_(max=weights_RV.size(-1) - 1)
    return tokens_R, cumulative_RV[:, -1].clone()


def _keep_top_k(
    weights_RV: Tensor, differences_RV: Tensor, params: Sequence[SamplingParams]
) -> None:
    """Zero the weights of differences below the k-th largest; those equal to it stay.

    Afterwards, as exp takes ten times as long for minus infinity.
    """
    vocab_size = weights_RV.size(-1)
    limits = [min(its.top_k or vocab_size, vocab_size) for its in params]
    if min(limits) == vocab_size:
        return
    limits_R = torch.tensor(limits, device=weights_RV.device)
    kernels = kernels_for(weights_RV)
    if kernels is not None:
        assert differences_RV.is_contiguous()
        kernels.keep_top_k(differences_RV.data_ptr(), *_of_rows(weights_RV, limits_R))
        return
    largest = differences_RV.topk(max(its for its in limits if its < vocab_size), dim=-1).values
    floor_R1 = largest.gather(-1, limits_R.clamp(max=largest.size(-1)).unsqueeze(-1) - 1)
    floor_R1.masked_fill_(limits_R[:, None] == vocab_size, -torch.inf)
    weights_RV.masked_fill_(differences_RV < floor_R1, 0.0)


def _keep_top_p(weights_RV: Tensor, params: Sequence[SamplingParams]) -> None:
    """Keep the largest weights until their share reaches p, and those equal to the last one."""
    shares = [1.0 if its.top_p is None else its.top_p for its in params]
    if min(shares) == 1:
        return
    shares_R = torch.tensor(shares, dtype=torch.float64, device=weights_RV.device)
    kernels = kernels_for(weights_RV)
    if kernels is not None:
        kernels.keep_top_p(*_of_rows(weights_RV, shares_R))
        return
    rows = [row for row, share in enumerate(shares) if share < 1]
    subset = weights_RV[rows]
    descending = subset.sort(dim=-1, descending=True).values
    cumulative = descending.cumsum(-1, dtype=torch.float64)
    # The last one kept is the first at which the share is reached.
    reached = torch.searchsorted(cumulative, shares_R[rows].unsqueeze(-1) * cumulative[:, -1:])
    floor = descending.gather(-1, reached.clamp_(max=descending.size(-1) - 1))
    weights_RV[rows] = subset.masked_fill_(subset < floor, 0.0)


def _of_rows(weights_RV: Tensor, limits_R: Tensor) -> tuple[int, ...]:
    """What a kernel takes that filters weights in place, with a limit of 64 bits per row."""
    assert weights_RV.is_contiguous() and limits_R.element_size() == 8
    addresses = weights_RV.data_ptr(), limits_R.data_ptr()
    return *addresses, *weights_RV.shape, torch.get_num_threads()


def _keep_min_p(weights_RV: Tensor, params: Sequence[SamplingParams]) -> None:
    """Zero the weights below min_p times the largest, which is exp(0) = 1."""
    floors = [its.min_p or 0.0 for its in params]
    if max(floors) > 0:
        floor_R = torch.tensor(floors, dtype=torch.float32, device=weights_RV.device)
        weights_RV.masked_fill_(weights_RV < floor_R[:, None], 0.0)
