"""The kernels of the sampler's filters keep what torch's operations keep, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import SamplingParams
from engine.logprobs import top_tokens
from engine.sampler import sample
from tests.engine.kernels import kernels, needs_kernels

pytestmark = needs_kernels

limits = st.fixed_dictionaries(
    {},
    optional={
        "top_k": st.integers(1, 70) | st.just(2**31 - 1),
        "top_p": st.floats(0, 1, exclude_min=True) | st.sampled_from([1.0, 5e-324, 1 - 2**-53]),
        "min_p": st.floats(0, 1),
        "temperature": st.sampled_from([1e-6, 0.1, 1.0, 100.0]),
    },
)


@pytest.fixture(params=[1, 2, 3])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def logits_of(seed: int, num_rows: int, size: int, step: float) -> Tensor:
    """Some of minus infinity, a row of NaN, and ties where `step` is coarse."""
    generator = torch.Generator().manual_seed(seed)
    logits_RV = (torch.randn(num_rows, size, generator=generator) * 5 / step).round() * step
    is_out_RV = torch.rand(num_rows, size, generator=generator) < 0.2
    is_out_RV[:, seed % size] = False
    logits_RV[is_out_RV] = -math.inf
    if seed % 3 == 0:
        logits_RV[num_rows // 2, size // 2] = math.nan
    return logits_RV


def kept(logits_V: Tensor, params: SamplingParams) -> Tensor:
    """The weights of a row, by operations of torch alone."""
    differences_V = logits_V - logits_V.max()
    temperature = 1.0 if params.temperature is None else params.temperature
    weights_V = (differences_V / torch.tensor(temperature)).exp()
    if params.top_k is not None and params.top_k < len(logits_V):
        weights_V[differences_V < differences_V.topk(params.top_k).values[-1]] = 0.0
    if params.top_p is not None and params.top_p < 1:
        sorted_V = weights_V.sort(descending=True).values
        sums_V = sorted_V.cumsum(-1, dtype=torch.float64)
        reached = torch.searchsorted(sums_V, params.top_p * sums_V[-1])
        weights_V[weights_V < sorted_V[reached]] = 0.0
    weights_V[weights_V < torch.tensor(params.min_p or 0.0)] = 0.0
    return weights_V


@settings(max_examples=200)
@given(
    st.lists(limits, min_size=1, max_size=9),
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 15, 16, 17, 64, 265, 5003]),
    st.sampled_from([2.0**-20, 0.25, 4.0]),
)
def test_filters_keep_the_same(
    rows: list[dict[str, Any]], seed: int, size: int, step: float
) -> None:
    logits_RV = logits_of(seed, len(rows), size, step)
    params = [SamplingParams(**its) for its in rows]
    found = sample(logits_RV, params, [0.3] * len(rows))
    for row, token in enumerate(found.tokens):
        if token is None:
            assert logits_RV[row].isnan().any()
            continue
        expected_V = kept(logits_RV[row], params[row])
        assert torch.equal(found.weights_DV[row], expected_V)
        assert found.totals_D[row] == expected_V.cumsum(-1, dtype=torch.float64)[-1]


@settings(max_examples=100)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 15, 16, 17, 64, 265, 5003]),
    st.sampled_from([2.0**-20, 0.25, 4.0]),
    st.integers(1, 100),
)
def test_the_likeliest_tokens_are_the_same(seed: int, size: int, step: float, top: int) -> None:
    logits_RV = logits_of(seed | 1, 7, size, step).nan_to_num(nan=0.0, neginf=-math.inf)
    num_top = min(top, size)
    expected = logits_RV.sort(dim=-1, descending=True, stable=True).indices[:, :num_top]
    assert torch.equal(top_tokens(logits_RV, num_top), expected)


def test_rows_are_filtered_alike_whatever_the_number_of_threads(num_threads: int) -> None:
    logits_RV = logits_of(1, 33, 5003, 2.0**-20)
    params = [SamplingParams(top_k=row * 30 + 1, top_p=0.5 + row / 99) for row in range(33)]
    together = sample(logits_RV, params, [0.9] * 33)
    for row in range(0, 33, 8):
        alone = sample(logits_RV[row : row + 1], params[row : row + 1], [0.9])
        assert torch.equal(alone.weights_DV[0], together.weights_DV[row])


def test_no_row_is_touched_without_a_limit() -> None:
    values_RV = torch.rand(3, 50)
    weights_RV = values_RV.clone()
    limits_R, shares_R = torch.full((3,), 50), torch.ones(3, dtype=torch.float64)
    kernels().keep_top_k(values_RV.data_ptr(), weights_RV.data_ptr(), limits_R.data_ptr(), 3, 50, 2)
    kernels().keep_top_p(weights_RV.data_ptr(), shares_R.data_ptr(), 3, 50, 2)
    assert torch.equal(weights_RV, values_RV)
