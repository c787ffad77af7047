"""Tokens follow the distribution that is asked for, and no stream knows anything of another.

By Pearson's chi-square, against a limit that a perfect sampler exceeds once in 10,000 tests. Seeds
are fixed, so that a test which passes goes on passing.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch

from engine import SamplingParams
from engine.sampler import UniformStream, sample
from tests.engine.models import ScriptedModel
from tests.engine.runs import request, run_all

SHARES = np.array([0.02, 0.30, 0.10, 0.04, 0.25, 0.05, 0.15, 0.09])
LOGITS = np.log(SHARES).tolist()
ALL = list(range(len(SHARES)))

# parameters, the tokens that they leave
DISTRIBUTIONS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, ALL),
    ({"temperature": 0.5}, ALL),
    ({"temperature": 2.0}, ALL),
    ({"temperature": 10_000}, ALL),
    ({"top_k": 3}, [1, 4, 6]),
    ({"top_p": 0.6}, [1, 4, 6]),
    ({"min_p": 0.25}, [1, 2, 4, 6, 7]),
    ({"temperature": 0.7, "top_k": 5}, [1, 2, 4, 6, 7]),
    ({"temperature": 2.0, "top_k": 5, "top_p": 0.8, "min_p": 0.55}, [1, 2, 4, 6]),
    ({"temperature": 2.0, "top_k": 5, "top_p": 0.8, "min_p": 0.6}, [1, 4, 6]),
]


def limit_of(degrees_of_freedom: int) -> float:
    """What a chi-square variable exceeds once in 10,000, by Wilson and Hilferty's approximation."""
    variance = 2 / (9 * degrees_of_freedom)
    quantile = NormalDist().inv_cdf(1 - 1e-4)
    return degrees_of_freedom * (1 - variance + quantile * math.sqrt(variance)) ** 3


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def assert_follows(tokens: list[int], params: dict[str, Any], kept: list[int]) -> None:
    """The tokens that are kept are as frequent as the temperature says, and there are no others."""
    shares = SHARES[kept] ** (1 / params.get("temperature", 1.0))
    counts = np.bincount(tokens, minlength=len(SHARES))
    assert set(np.flatnonzero(counts)) <= set(kept)
    expected = shares / shares.sum() * len(tokens)
    assert chi_square(counts[kept], expected) < limit_of(len(kept) - 1)


def dependence(left: np.ndarray, right: np.ndarray) -> float:
    """Chi-square of the table of pairs of tokens, by its own margins: `(V - 1)^2` degrees."""
    counts = np.zeros((len(SHARES), len(SHARES)))
    np.add.at(counts, (left.ravel(), right.ravel()), 1)
    return chi_square(counts, np.outer(counts.sum(1), counts.sum(0)) / counts.sum())


def drawn(numbers: np.ndarray, **params: Any) -> np.ndarray:
    """A token per number, in the same shape."""
    logits_RV = torch.tensor(LOGITS).expand(numbers.size, -1)
    tokens = sample(
        logits_RV, [SamplingParams(**params)] * numbers.size, numbers.ravel().tolist()
    ).tokens
    return np.array(tokens).reshape(numbers.shape)


@pytest.fixture(scope="module", params=[(0, 0), (2**63 - 16, 2**31 - 33), (2**64 - 32, 0)])
def numbers_SRP(request: pytest.FixtureRequest) -> np.ndarray:
    """The numbers of 32 seeds, of 32 rows each, at 32 positions each."""
    seed, row = request.param
    streams = [[UniformStream(seed + s, row + r) for r in range(32)] for s in range(32)]
    return np.array([[[its(t) for t in range(32)] for its in rows] for rows in streams])


@pytest.mark.parametrize(("params", "kept"), DISTRIBUTIONS)
def test_first_tokens_of_many_rows_follow_the_distribution(
    params: dict[str, Any], kept: list[int]
) -> None:
    numbers = np.array([UniformStream(3, row)(0) for row in range(20_000)])
    assert_follows(drawn(numbers, **params).tolist(), params, kept)


def test_the_tokens_of_an_engines_rows_follow_the_distribution() -> None:
    model = ScriptedModel(1, [LOGITS], vocab_size=len(LOGITS))
    requests = [
        request(str(index), [0], 50, max_tokens=200, seed=index, **params)
        for index, (params, _) in enumerate(DISTRIBUTIONS)
    ]
    results = run_all(model, requests, max_rows=300)
    for index, (params, kept) in enumerate(DISTRIBUTIONS):
        tokens = [token for row in results[str(index)] for token in row.tokens]
        assert len(tokens) == 50 * 200
        assert_follows(tokens, params, kept)


def test_no_two_places_share_a_number(numbers_SRP: np.ndarray) -> None:
    assert np.unique(numbers_SRP).size == numbers_SRP.size


def test_seeds_rows_and_positions_are_independent(numbers_SRP: np.ndarray) -> None:
    tokens_SRP = drawn(numbers_SRP)
    assert_follows(tokens_SRP.ravel().tolist(), {}, ALL)
    pairs = {
        "a row and the next": (tokens_SRP[:, :-1], tokens_SRP[:, 1:]),
        "a seed and the next": (tokens_SRP[:-1], tokens_SRP[1:]),
        "a seed's next row and the next seed's row": (tokens_SRP[:-1, 1:], tokens_SRP[1:, :-1]),
        "a position and the next": (tokens_SRP[..., :-1], tokens_SRP[..., 1:]),
        "a position and that of the next block": (tokens_SRP[..., :-4], tokens_SRP[..., 4:]),
        "a row's position and the next row's next": (
            tokens_SRP[:, :-1, :-1],
            tokens_SRP[:, 1:, 1:],
        ),
    }
    limit = limit_of((len(SHARES) - 1) ** 2)
    found = {name: dependence(*pair) for name, pair in pairs.items()}
    assert {name: its for name, its in found.items() if its > limit} == {}


def test_the_statistic_sees_one_token_in_twenty_that_follows_another() -> None:
    """So that the tests above mean something."""
    generator = np.random.default_rng(0)
    left, right = generator.choice(len(SHARES), size=(2, 32 * 32 * 31), p=SHARES)
    limit = limit_of((len(SHARES) - 1) ** 2)
    assert dependence(left, right) < limit
    assert dependence(left, np.where(generator.random(left.size) < 0.05, left, right)) > limit
