"""What the sampler's test vectors are about: logits, parameters and a random number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tests.engine.reference_sampler import uniform

Place = tuple[int, int, int]
"""Seed, row, position."""
Case = tuple[str, Sequence[float], dict[str, Any], Place | float]
"""Name, logits, parameters, and a place in a stream or a random number itself."""

ControlsCase = tuple[str, Sequence[float], dict[str, Any]]
"""Name, logits, and parameters; with the tokens of the prompt, of the row and those that end it."""

INF, NAN = math.inf, math.nan
LARGEST = 1 - 2.0**-53
"""The largest random number."""

SEEDS = [0, 1, 42, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
ROWS = [0, 1, 2, 63, 4095, 2**31 - 2, 2**53 + 1, 2**64 - 1]
POSITIONS = [0, 1, 2, 3, 4, 5, 63, 64, 65, 1023, 100_000]

# Small enough to follow by hand; the weights are 1, 0.135, 0.368 and 0.368.
FOUR = [2.0, 0.0, 1.0, 1.0]
# The shares are 0.03, 0.47, 0.13, 0.02, 0.28 and 0.06.
SIX = [-2.25, 0.5, -0.75, -2.5, 0.0, -1.5]
TIES = [1.0, 3.0, 0.0, 3.0, 2.0, 2.0]
# The second and the third are equal only once the first is taken off them in float32.
NEARLY_TIES = [4.0, 1 + 2.0**-23, 1.0]
TINY_STEPS = [0.0, 2.0**-13, 2.0**-12]
ALL_FILTERS = {"top_k": 4, "top_p": 0.95, "min_p": 0.1}

A, B = (42, 0, 0), (42, 0, 1)  # their numbers are 0.82 and 0.19

CASES: list[Case] = [
    ("worked example 1", FOUR, {}, A),
    ("worked example 2", SIX, {"temperature": 0.5, **ALL_FILTERS}, (7, 1, 8)),
    ("one token", [-3.5], {}, A),
    ("equal logits", [0.25] * 10, {}, (0, 3, 9)),
    ("number 0: the first token", [1.0] * 3, {}, 0.0),
    ("number 0: the first token that has a weight", [-INF, -INF, 1.0, 1.0], {}, 0.0),
    ("number 0: the first token, however small its weight", [-20.0, 0.0, 0.0], {}, 0.0),
    ("largest number: the last token", [1.0] * 3, {}, LARGEST),
    ("largest number: the last token that has a weight", [1.0, 1.0, -INF], {}, LARGEST),
    ("a weight too small to raise the sum", [0.0, -40.0, -40.0], {}, LARGEST),
    ("the sum is float64", [-20.0, 0.0, 0.0], {}, 0.5),
    ("x equal to a running sum: the token after it", [0.0, 0.0], {}, 0.5),
    ("x just below a running sum", [0.0, 0.0], {}, 0.5 - 2.0**-54),
    ("logits of minus infinity", [-INF, 0.5, -INF, 1.0, -INF], {}, B),
    ("a difference beyond float32", [-(2.0**127), 2.0**127, 2.0**127], {}, A),
    ("large logits", [50_000.0, 49_999.0, 49_998.5], {}, A),
    ("greedy", SIX, {"temperature": 0.0}, A),
    ("greedy: the lowest index of ties", TIES, {"temperature": 0.0}, A),
    ("greedy: filters have no say", TIES, {"temperature": 0.0, **ALL_FILTERS}, A),
    ("below 1e-6 in float64: greedy", [0.0, 0.0], {"temperature": 0.99999999e-6}, A),
    ("at 1e-6: drawn", [0.0, 0.0, -0.5], {"temperature": 1e-6}, A),
    ("at 1e-6, over differences as small", [0.0, 2.0**-20, 0.0], {"temperature": 1e-6}, B),
    ("temperature 0.01", SIX, {"temperature": 0.01}, A),
    ("temperature 0.7", SIX, {"temperature": 0.7}, A),
    ("temperature 2", SIX, {"temperature": 2.0}, A),
    ("temperature 10000", SIX, {"temperature": 10_000.0}, A),
    ("top-k before temperature", TINY_STEPS, {"temperature": 10_000.0, "top_k": 1}, B),
    ("top-k 1", SIX, {"top_k": 1}, A),
    ("top-k 1: a tie stays", TIES, {"top_k": 1}, A),
    ("top-k 3: a tie with the third stays", TIES, {"top_k": 3}, 0.9375),
    ("top-k: ties are of the differences", NEARLY_TIES, {"top_k": 2}, 0.96875),
    ("top-k: all but one", SIX, {"top_k": 5}, 0.640625),
    ("top-k: the vocabulary", SIX, {"top_k": 6}, LARGEST),
    ("top-k: more than the vocabulary", SIX, {"top_k": 2**31 - 1}, LARGEST),
    ("top-k: more than the finite logits", [-INF, 0.0, -INF, 0.0], {"top_k": 3}, A),
    ("top-p 0.5", SIX, {"top_p": 0.5}, A),
    ("top-p: ties with the last stay", TIES, {"top_p": 0.25}, A),
    ("top-p: the least", SIX, {"top_p": 5e-324}, A),
    ("top-p: the greatest below 1", [0.0, 0.0, -INF], {"top_p": LARGEST}, A),
    ("top-p: the sum is float64", [-20.0, 0.0, 0.0], {"top_p": 1 - 2.0**-31}, 0.0),
    ("top-p 1: off", SIX, {"top_p": 1.0}, LARGEST),
    ("top-p 1: off, so that the least weight stays", [-40.0, 0.0, 0.0], {"top_p": 1.0}, 0.0),
    ("min-p 0: off", SIX, {"min_p": 0.0}, LARGEST),
    ("min-p that is 0 in float32", SIX, {"min_p": 5e-324}, LARGEST),
    ("min-p 0.25", SIX, {"min_p": 0.25}, 0.96875),
    ("min-p 1: ties with the largest stay", TIES, {"min_p": 1.0}, A),
    ("top-k before top-p", SIX, {"top_k": 3, "top_p": 0.52}, 0.96875),
    ("top-p before min-p", SIX, {"top_p": 0.5, "min_p": 0.5}, 0.75),
    ("temperature before top-p", SIX, {"temperature": 4.0, "top_p": 0.5}, 0.9375),
    ("temperature before min-p", SIX, {"temperature": 4.0, "min_p": 0.5}, 0.96875),
    ("no token: NaN", [0.0, NAN, 1.0], {}, A),
    ("no token: infinity", [0.0, INF, 1.0], {"top_k": 1}, A),
    ("no token: nothing but minus infinity", [-INF, -INF], {}, A),
    ("no token: NaN where greedy", [0.0, NAN, 1.0], {"temperature": 0.0}, A),
]

HISTORY = {"prompt": [4, 0, 4], "row": [1, 3, 1]}

CONTROLS: list[ControlsCase] = [
    ("none", SIX, HISTORY),
    ("bias", SIX, {**HISTORY, "logit_bias": {0: 0.1, 3: -100.0, 5: 100.0}}),
    ("bias: rounded to float32 first", [1.0, 1.0], {"logit_bias": {0: 0.1, 1: 2.0**-24}}),
    ("bias on minus infinity", [-INF, 1.0], {"logit_bias": {0: 3.0}}),
    (
        "repetition: the prompt and the row, each token once",
        SIX,
        HISTORY | {"repetition_penalty": 1.3},
    ),
    ("repetition below 1", SIX, HISTORY | {"repetition_penalty": 0.7}),
    ("repetition of 0 and minus infinity", [0.0, -INF], {"row": [0, 1], "repetition_penalty": 1.5}),
    ("frequency: the row alone", SIX, HISTORY | {"frequency_penalty": 0.3}),
    ("frequency: the product is rounded", [0.1] * 2, {"row": [1] * 7, "frequency_penalty": 0.1}),
    ("presence", SIX, HISTORY | {"presence_penalty": -0.7}),
    (
        "frequency before presence",
        [1.0] * 2,
        {"row": [1] * 3, "frequency_penalty": 0.1, "presence_penalty": 0.3},
    ),
    ("bias before repetition", SIX, HISTORY | {"logit_bias": {4: 0.5}, "repetition_penalty": 1.9}),
    ("bad words of one token", SIX, HISTORY | {"bad_words": [[2], [5]]}),
    ("bad words that begin in the prompt", SIX, HISTORY | {"bad_words": [[4, 1, 3, 1, 0], [1, 2]]}),
    ("bad words that have not begun", SIX, HISTORY | {"bad_words": [[3, 2], [1, 3, 4]]}),
    ("bad words longer than the history", SIX, {"prompt": [1], "bad_words": [[1, 1, 2]]}),
    ("a bad word that ends the prompt", SIX, {"prompt": [2, 1], "bad_words": [[2, 1, 0]]}),
    ("a row that is too short", SIX, HISTORY | {"min_tokens": 4, "ends": [0, 5]}),
    ("a row that is long enough", SIX, HISTORY | {"min_tokens": 3, "ends": [0, 5]}),
    ("a ban leaves NaN as it is", [NAN, 0.0], {"bad_words": [[0]]}),
    ("a ban makes NaN of infinity", [INF, 0.0], {"bad_words": [[0]]}),
    (
        "all",
        SIX,
        {
            **HISTORY,
            "logit_bias": {1: 0.3, 2: -0.2},
            "repetition_penalty": 1.1,
            "frequency_penalty": 0.2,
            "presence_penalty": 0.4,
            "bad_words": [[3, 1, 0]],
            "min_tokens": 9,
            "ends": [5],
        },
    ),
]

FILTERS: list[dict[str, Any]] = [
    {},
    {"top_k": 8},
    {"top_p": 0.8},
    {"min_p": 0.05},
    {"top_k": 12, "top_p": 0.9},
    {"top_k": 12, "min_p": 0.02},
    {"top_p": 0.95, "min_p": 0.1},
    {"top_k": 20, "top_p": 0.85, "min_p": 0.03},
]


def mixed_cases() -> Iterator[Case]:
    """Every mix of filters at three temperatures, at many seeds, rows and positions.

    The logits are multiples of 1/8 from -6 to 6, with ties.
    """
    mixes = [(temperature, filters) for temperature in (0.6, 1.0, 1.7) for filters in FILTERS]
    for n, (temperature, filters) in enumerate(mixes):
        logits = [math.floor(97 * uniform(1000 + n, 0, token)) / 8 - 6 for token in range(27 + n)]
        place = (SEEDS[n % 8], ROWS[(3 * n + n // 8) % 8], POSITIONS[5 * n % 11])
        yield f"mixed {n + 1}", logits, {"temperature": temperature, **filters}, place
