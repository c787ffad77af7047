"""The sampler draws what its specification (docs/sampler.md) says, row by row."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine import SamplingParams
from engine.sampler import UniformStream, sample
from tests.engine import reference_sampler
from tests.engine.models import ScriptedModel
from tests.engine.runs import request, run_all
from tests.engine.sampler_edges import hinges_on_exp


def torch_exp(values: list[float]) -> list[float]:
    """The machine's own exp, which the specification leaves open in the last bit."""
    return torch.tensor(values, dtype=torch.float32).exp().tolist()


heats = st.floats(0.1, 3.0)


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "temperature": draw(st.sampled_from([0.0, 1e-7, 1e-6, 0.01, 0.7, 1.0, 10_000]) | heats),
        "top_k": draw(st.none() | st.integers(1, 12) | st.just(2**31 - 1)),
        "top_p": draw(st.none() | st.floats(1e-6, 1.0)),
        "min_p": draw(st.none() | st.floats(0.0, 1.0)),
    }


def number_at_an_edge(
    logits: list[float],
    place: float,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> float:
    """A number between two tokens, somewhere: one bit off, and another token is drawn."""
    exponents = reference_sampler.exponents(logits, max(temperature, 1e-6), top_k)
    weights = reference_sampler.keep_top_p(torch_exp(exponents), top_p)
    sums = reference_sampler.running_sums(reference_sampler.keep_min_p(weights, min_p))
    return min(sums[int(place * len(sums))] / sums[-1], math.nextafter(1, 0))


numbers = st.floats(0, 1, exclude_max=True)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(limits(), numbers, st.booleans()), min_size=1),
    st.sampled_from([1, 2, 7, 64, 265, 1003, 5003]),
    st.sampled_from([0.0, 0.1, 3.0, 30.0]),
    st.integers(0, 1000),
)
@example([({}, n / 40, True) for n in range(40)], 5003, 3.0, 0)
@example([({"top_p": 0.9}, n / 40, True) for n in range(40)], 5003, 3.0, 0)
def test_a_batch_draws_row_by_row_what_the_specification_says(
    rows: list[tuple[dict[str, Any], float, bool]], vocab_size: int, spread: float, seed: int
) -> None:
    """Bit for bit: the plain-Python sampler has torch's own exp."""
    generator = torch.Generator().manual_seed(seed)
    logits_RV = torch.randn(len(rows), vocab_size, generator=generator) * spread
    logits_RV = logits_RV.mul(4).round().div(4)  # so that there are ties
    logits = logits_RV.tolist()
    uniforms = [
        number_at_an_edge(logits[row], place, **its) if is_edge else place
        for row, (its, place, is_edge) in enumerate(rows)
    ]
    before = logits_RV.clone()
    tokens = sample(logits_RV, [SamplingParams(**its) for its, _, _ in rows], uniforms).tokens
    assert torch.equal(logits_RV, before), "the logits are the caller's"
    assert tokens == [
        reference_sampler.draw(logits[row], uniforms[row], **its, exp=torch_exp)
        for row, (its, _, _) in enumerate(rows)
    ]


@settings(max_examples=500)
@given(
    st.lists(st.floats(-40, 40, width=32) | st.just(-math.inf), min_size=1, max_size=50),
    limits(),
    numbers,
)
def test_only_a_draw_that_hinges_on_exp_may_differ_between_machines(
    logits: list[float], its: dict[str, Any], number: float
) -> None:
    """The plain-Python sampler has an exp of its own here."""
    assume(max(logits) > -math.inf and not hinges_on_exp(logits, number, **its))
    (token,) = sample(torch.tensor([logits]), [SamplingParams(**its)], [number]).tokens
    assert token == reference_sampler.draw(logits, number, **its)


def test_exp_is_open_in_its_last_bit_only() -> None:
    exponents = reference_sampler.float32([-n / 1000 for n in range(110_000)])  # to 0, and beyond
    ours, torchs = (
        torch.tensor(exp(exponents), dtype=torch.float32).view(torch.int32)
        for exp in (reference_sampler.rounded_exp, torch_exp)
    )
    assert (ours - torchs).abs().max() <= 1
    assert torch_exp([0.0, -math.inf]) == [1.0, 0.0]


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
    tokens = sample(
        shares.log().expand(1000, -1), [SamplingParams(**limits)] * 1000, numbers
    ).tokens
    assert tokens == sorted(tokens)
    assert sorted(set(tokens)) == kept


@given(
    st.lists(st.tuples(limits(), numbers), min_size=1, max_size=5),
    st.sampled_from([1, 7, 16, 265, 5003]),
    st.integers(0, 2**32),
)
def test_a_row_that_is_held_to_a_structure_changes_no_bit(
    rows: list[tuple[dict[str, Any], float]], vocab_size: int, seed: int
) -> None:
    """Neither of itself, whose forbidden tokens have minus infinity by then, nor of its company."""
    generator = torch.Generator().manual_seed(seed)
    logits_RV = torch.randn(len(rows), vocab_size, generator=generator) * 40  # down to exp's last
    is_out_RV = torch.rand(len(rows), vocab_size, generator=generator) < 0.9
    is_out_RV[:, seed % vocab_size] = False
    logits_RV[is_out_RV] = -math.inf
    logits_RV[0, 0] = math.nan if seed % 3 == 0 else logits_RV[0, 0]
    plain = [SamplingParams(**its) for its, _ in rows]
    held = [*plain[:-1], dataclasses.replace(plain[-1], regex="a")]
    expected, found = (sample(logits_RV, its, [n for _, n in rows]) for its in (plain, held))
    assert found.tokens == expected.tokens
    for name in ("weights_DV", "totals_D"):
        ours, torchs = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(ours, torchs, rtol=0, atol=0, equal_nan=True)
    assert not found.weights_DV[found.weights_DV == 0].signbit().any()


@pytest.mark.parametrize("vocab_size", [1, 7, 265, 65_536])
def test_a_number_close_to_one_draws_the_last_token_that_is_left(vocab_size: int) -> None:
    almost_one = math.nextafter(1.0, 0.0)
    logits_V = torch.randn(vocab_size, generator=torch.Generator().manual_seed(0))
    assert sample(logits_V[None], [SamplingParams()], [almost_one]).tokens == [vocab_size - 1]
    (largest,) = sample(logits_V[None], [SamplingParams(temperature=0)], [0.0]).tokens
    assert sample(logits_V[None], [SamplingParams(top_k=1)], [almost_one]).tokens == [largest]
    assert sample(logits_V[None], [SamplingParams(top_k=1)], [0.0]).tokens == [largest]


def test_greedy_takes_the_lowest_token_on_ties() -> None:
    logits_RV = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0] * 4, [-1.0, -5.0, -1.0, -1.0]])
    assert sample(logits_RV, [SamplingParams(temperature=0)] * 3, [0.9] * 3).tokens == [1, 0, 0]
    mixed = [SamplingParams(temperature=0), SamplingParams(), SamplingParams(temperature=1e-7)]
    assert sample(logits_RV, mixed, [0.9] * 3).tokens == [1, 3, 0]


def test_a_broken_rows_logits_harm_no_neighbour() -> None:
    logits_RV = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    its = [SamplingParams(), SamplingParams(top_k=5, top_p=0.5), SamplingParams(min_p=0.1)]
    expected = sample(logits_RV, its, [0.5] * 3).tokens
    for value in (math.nan, math.inf, -math.inf):
        broken = logits_RV.clone()
        broken[1] = value
        for second in (its[1], SamplingParams(temperature=0)):
            tokens = sample(broken, [its[0], second, its[2]], [0.5] * 3).tokens
            assert tokens == [expected[0], None, expected[2]]


def test_top_k_holds_at_any_temperature() -> None:
    logits_V = torch.tensor([0.0, 1e-4, 2e-4, 3e-4])
    hot = SamplingParams(temperature=10_000, top_k=1)
    assert sample(logits_V[None], [hot], [0.1]).tokens == [3]


words = st.integers(0, 2**64 - 1)


@given(st.lists(st.integers(0, 300), unique=True).map(sorted), words, words)
def test_a_number_belongs_to_its_position_whichever_were_asked_for(
    positions: list[int], seed: int, row: int
) -> None:
    stream = UniformStream(seed, row)
    for position in positions:
        assert stream(position) == reference_sampler.uniform(seed, row, position)


def test_rows_take_the_numbers_of_their_seed_index_and_position() -> None:
    """Where all tokens are as likely, a token is its number times the size of the vocabulary."""
    model = ScriptedModel(1, [None], vocab_size=256)
    mix = [request(str(seed), [1], 3, max_tokens=100, seed=seed) for seed in (0, 1, 2**63 + 1)]
    for name, rows in run_all(model, mix, max_rows=2).items():
        for index, row in enumerate(rows):
            numbers = [reference_sampler.uniform(int(name), index, t) for t in range(100)]
            assert row.tokens == [int(number * 256) for number in numbers]
