"""The sampler draws what its specification (docs/sampler.md) says, row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import SamplingParams
from engine.sampler import UniformStream, sample
from tests.engine.models import ScriptedModel
from tests.engine.runs import request, run_all


def weights_of(logits_V: Tensor, temperature: float, top_k: int | None) -> np.ndarray:
    """Steps 2 and 3; exp by torch, as its last bit is the machine's."""
    differences = (logits_V - logits_V.max()).numpy()
    if top_k is not None and top_k < len(differences):
        differences[differences < np.sort(differences)[-top_k]] = -np.inf
    return (torch.from_numpy(differences) / torch.tensor(temperature)).exp().numpy()


def cumulative_of(logits_V: Tensor, params: SamplingParams) -> np.ndarray:
    """Steps 2 to 6, independently of the engine's sampler."""
    weights = weights_of(logits_V, params.temperature, params.top_k)
    if params.top_p is not None and params.top_p < 1:
        descending = np.sort(weights)[::-1]
        sums = np.cumsum(descending, dtype=np.float64)
        weights[weights < descending[np.argmax(sums >= params.top_p * sums[-1])]] = 0
    if params.min_p:
        weights[weights < np.float32(params.min_p)] = 0
    return np.cumsum(weights, dtype=np.float64)


def reference(logits_V: Tensor, params: SamplingParams, uniform: float) -> int:
    if params.temperature < 1e-6:
        return int(np.argmax(logits_V.numpy()))
    cumulative = cumulative_of(logits_V, params)
    return int(np.argmax(cumulative > uniform * cumulative[-1]))


@st.composite
def params(draw: st.DrawFn) -> SamplingParams:
    return SamplingParams(
        temperature=draw(st.sampled_from([0.0, 1e-7, 1e-6, 0.01, 0.3, 0.7, 1.0, 5.0, 10_000])),
        top_k=draw(st.none() | st.integers(1, 12) | st.just(2**31 - 1)),
        top_p=draw(st.none() | st.floats(1e-6, 1.0)),
        min_p=draw(st.none() | st.floats(0.0, 1.0)),
    )


def uniform_for(logits_V: Tensor, params: SamplingParams, place: float, is_edge: bool) -> float:
    """Where asked for, a number at an edge between two tokens: one bit off, another token."""
    if not is_edge or params.temperature < 1e-6:
        return place
    cumulative = cumulative_of(logits_V, params)
    return min(cumulative[int(place * len(cumulative))] / cumulative[-1], math.nextafter(1, 0))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(params(), st.floats(0, 1, exclude_max=True), st.booleans()), min_size=1),
    st.sampled_from([1, 2, 7, 64, 265, 1003, 5003]),
    st.sampled_from([0.0, 0.1, 3.0, 30.0]),
    st.integers(0, 1000),
)
@example([(SamplingParams(), n / 40, True) for n in range(40)], 5003, 3.0, 0)
@example([(SamplingParams(top_p=0.9), n / 40, True) for n in range(40)], 5003, 3.0, 0)
def test_a_batch_draws_row_by_row_what_the_specification_says(
    rows: list[tuple[SamplingParams, float, bool]], vocab_size: int, spread: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_RV = torch.randn(len(rows), vocab_size, generator=generator) * spread
    logits_RV = logits_RV.mul(4).round().div(4)  # so that there are ties
    uniforms = [uniform_for(logits_RV[row], *its) for row, its in enumerate(rows)]
    before = logits_RV.clone()
    tokens = sample(logits_RV, [its for its, _, _ in rows], uniforms)
    assert torch.equal(logits_RV, before), "the logits are the caller's"
    assert tokens == [
        reference(logits_RV[row], its, uniforms[row]) for row, (its, _, _) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 1}, [1, 4]),  # a tie stays
        ({"top_k": 2}, [1, 4]),
        ({"top_k": 3}, [1, 2, 4]),
        ({"top_k": 6}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 1000}, [0, 1, 2, 3, 4, 5]),
        ({"top_p": 0.4}, [1, 4]),
        ({"top_p": 0.8}, [1, 4]),
        ({"top_p": 0.81}, [1, 2, 4]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4, 5]),
        ({"min_p": 1.0}, [1, 4]),
        ({"min_p": 0.25}, [1, 2, 4]),
        ({"min_p": 0.0}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 3, "top_p": 0.88}, [1, 4]),  # top-p sees what top-k left
    ],
)
def test_filters_keep_what_they_say(limits: dict[str, float], kept: list[int]) -> None:
    shares = torch.tensor([0.025, 0.4, 0.1, 0.025, 0.4, 0.05])
    numbers = [n / 1000 for n in range(1000)]
    tokens = sample(shares.log().expand(1000, -1), [SamplingParams(**limits)] * 1000, numbers)
    assert tokens == sorted(tokens)
    assert sorted(set(tokens)) == kept


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_distribution(temperature: float) -> None:
    logits_V = torch.randn(20, generator=torch.Generator().manual_seed(1)) * 2
    num_draws = 20_000
    # Half are first numbers of many rows, half are successive numbers of one row.
    stream = UniformStream(7, 0)
    numbers = [UniformStream(3, row)(0) for row in range(num_draws // 2)]
    numbers += [stream(position) for position in range(num_draws // 2)]
    its = [SamplingParams(temperature=temperature)] * num_draws
    tokens = sample(logits_V.expand(num_draws, -1), its, numbers)
    expected = (logits_V.double() / temperature).softmax(-1).numpy() * num_draws
    chi_square = ((np.bincount(tokens, minlength=20) - expected) ** 2 / expected).sum()
    assert chi_square < 50  # of 19 degrees of freedom: 1 in 10,000 for a true sampler


@pytest.mark.parametrize("vocab_size", [1, 7, 265, 65_536])
def test_a_number_close_to_one_draws_the_last_token_that_is_left(vocab_size: int) -> None:
    almost_one = math.nextafter(1.0, 0.0)
    logits_V = torch.randn(vocab_size, generator=torch.Generator().manual_seed(0))
    assert sample(logits_V[None], [SamplingParams()], [almost_one]) == [vocab_size - 1]
    (largest,) = sample(logits_V[None], [SamplingParams(temperature=0)], [0.0])
    assert sample(logits_V[None], [SamplingParams(top_k=1)], [almost_one]) == [largest]
    assert sample(logits_V[None], [SamplingParams(top_k=1)], [0.0]) == [largest]


def test_greedy_takes_the_lowest_token_on_ties() -> None:
    logits_RV = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0] * 4, [-1.0, -5.0, -1.0, -1.0]])
    assert sample(logits_RV, [SamplingParams(temperature=0)] * 3, [0.9] * 3) == [1, 0, 0]
    mixed = [SamplingParams(temperature=0), SamplingParams(), SamplingParams(temperature=1e-7)]
    assert sample(logits_RV, mixed, [0.9] * 3) == [1, 3, 0]


def test_a_broken_rows_logits_harm_no_neighbour() -> None:
    logits_RV = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    its = [SamplingParams(), SamplingParams(top_k=5, top_p=0.5), SamplingParams(min_p=0.1)]
    expected = sample(logits_RV, its, [0.5] * 3)
    for value in (math.nan, math.inf, -math.inf):
        broken = logits_RV.clone()
        broken[1] = value
        for second in (its[1], SamplingParams(temperature=0)):
            tokens = sample(broken, [its[0], second, its[2]], [0.5] * 3)
            assert tokens == [expected[0], None, expected[2]]


def test_top_k_holds_at_any_temperature() -> None:
    logits_V = torch.tensor([0.0, 1e-4, 2e-4, 3e-4])
    hot = SamplingParams(temperature=10_000, top_k=1)
    assert sample(logits_V[None], [hot], [0.1]) == [3]


# By numpy 2; a change here changes every sampled row of every user.
GOLDEN = {
    (0, 0): [0.011546754286331562, 0.24154919656271812, 0.11142585551493822],
    (42, 0): [0.8201981478608876, 0.18924562408645496, 0.8676608148821462],
    (42, 1): [0.443746921343274, 0.8163920951010332, 0.5090261862073765],
    (1, 42): [0.40480238304352023, 0.9172989127251774, 0.5391822946662699],
    (2**64 - 1, 7): [0.07488100676745957, 0.8492815318761986, 0.9304199123601601],
}


@pytest.mark.parametrize(("key", "numbers"), GOLDEN.items())
def test_the_first_numbers_of_a_stream_are_pinned(
    key: tuple[int, int], numbers: list[float]
) -> None:
    stream = UniformStream(*key)
    assert [stream(position) for position in range(3)] == numbers


@given(st.lists(st.integers(0, 300), unique=True).map(sorted), st.integers(0, 2**64 - 1))
def test_a_number_belongs_to_its_position_whichever_were_asked_for(
    positions: list[int], seed: int
) -> None:
    key = np.array([seed, 5], dtype=np.uint64)
    numbers = np.random.Generator(np.random.Philox(key=key)).random(301)
    stream = UniformStream(seed, 5)
    assert [stream(position) for position in positions] == [numbers[p] for p in positions]


def test_rows_take_the_numbers_of_their_seed_index_and_position() -> None:
    """Where all tokens are as likely, a token is its number times the size of the vocabulary."""
    model = ScriptedModel(1, [None], vocab_size=256)
    mix = [request(str(seed), [1], 3, max_tokens=100, seed=seed) for seed in (0, 1, 2**63 + 1)]
    for name, rows in run_all(model, mix, max_rows=2).items():
        for index, row in enumerate(rows):
            key = np.array([int(name), index], dtype=np.uint64)
            numbers = np.random.Generator(np.random.Philox(key=key)).random(100)
            assert row.tokens == (numbers * 256).astype(int).tolist()
