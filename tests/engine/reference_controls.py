"""The controls once more, in plain Python, written from docs/sampler.md alone.

It shares no code and no library with the engine's, and is slow. Step letters are the document's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tests.engine.reference_sampler import float32

_NONE: Mapping[int, float] = {}


def rounded(value: float) -> float:
    return float32([value])[0]


def controlled(
    logits: Sequence[float],
    prompt: Sequence[int],
    row: Sequence[int],
    *,
    logit_bias: Mapping[int, float] = _NONE,
    repetition_penalty: float = 1.0,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    bad_words: Sequence[Sequence[int]] = (),
    min_tokens: int = 0,
    ends: Sequence[int] = (),
) -> list[float]:
    """The logits for the next token of a row; float32 numbers in, float32 numbers out."""
    its = list(logits)
    for token, bias in logit_bias.items():  # step a
        its[token] = rounded(its[token] + rounded(bias))
    penalty = rounded(repetition_penalty)
    for token in {*prompt, *row}:  # step b
        its[token] = rounded(its[token] * penalty if its[token] < 0 else its[token] / penalty)
    for token in set(row):  # steps c and d
        its[token] = rounded(its[token] - rounded(rounded(frequency_penalty) * row.count(token)))
        its[token] = rounded(its[token] - rounded(presence_penalty))
    history = [*prompt, *row]
    for *before, last in bad_words:  # step e
        if len(before) <= len(history) and history[len(history) - len(before) :] == before:
            its[last] -= math.inf
    if len(row) < min_tokens:  # step f
        for token in ends:
            its[token] -= math.inf
    return its
