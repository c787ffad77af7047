"""The sampler once more, in plain Python, written from docs/sampler.md alone.

It shares no code and no library with the engine's, and is slow. Section and step numbers are the
document's.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

Words4 = tuple[int, int, int, int]
Exp = Callable[[list[float]], list[float]]

_WORD = 2**64
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_NUM_ROUNDS = 10


def philox(counter: int, key: tuple[int, int]) -> Words4:
    """The four words of a block of Philox4x64-10."""
    c0, c1, c2, c3 = (counter >> 64 * word & _WORD - 1 for word in range(4))
    k0, k1 = key
    for _ in range(_NUM_ROUNDS):
        high0, low0 = divmod(c0 * _MULTIPLIERS[0], _WORD)
        high1, low1 = divmod(c2 * _MULTIPLIERS[1], _WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _KEY_STEPS[0]) % _WORD, (k1 + _KEY_STEPS[1]) % _WORD
    return c0, c1, c2, c3


def uniform(seed: int, row: int, position: int) -> float:
    """The random number of a row's position."""
    block, word = divmod(position, 4)
    return (philox(block + 1, (seed, row))[word] >> 11) * 2.0**-53


def float32(values: Sequence[float]) -> list[float]:
    """Each value rounded to the nearest float32, ties to even; beyond the largest, infinite."""
    return array("f", values).tolist()


def rounded_exp(values: list[float]) -> list[float]:
    """exp in float32. It is right to the last bit, or one off; machines' own differ there too."""
    return float32([math.exp(value) for value in values])


def draw(
    logits: Sequence[float],
    number: float,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    exp: Exp = rounded_exp,
) -> int | None:
    """The token at a random number; None where the logits are no basis for one.

    `exp` takes and gives float32 numbers: hand in a machine's own to repeat its last bit.
    """
    if any(math.isnan(logit) for logit in logits) or not math.isfinite(max(logits)):
        return None
    if temperature < 1e-6:  # step 1
        return logits.index(max(logits))
    weights = exp(exponents(logits, temperature, top_k))
    sums = running_sums(keep_min_p(keep_top_p(weights, top_p), min_p))
    target = number * sums[-1]  # step 7
    return next(token for token, so_far in enumerate(sums) if so_far > target)  # step 8


def running_sums(weights: Iterable[float]) -> list[float]:
    """In float64, one addition after the other; Python's own sum() may be more exact than that."""
    return list(accumulate(weights))


def exponents(logits: Sequence[float], temperature: float, top_k: int | None) -> list[float]:
    """Steps 2 and 3: what exp is taken of, in float32."""
    largest = max(logits)
    differences = float32([logit - largest for logit in logits])
    if top_k is not None and top_k < len(logits):
        floor = sorted(differences, reverse=True)[top_k - 1]
        differences = [each if each >= floor else -math.inf for each in differences]
    (heat,) = float32([temperature])
    return float32([each / heat for each in differences])


def top_p_floor(weights: list[float], top_p: float) -> float:
    """The smallest weight that step 4 keeps."""
    descending = sorted(weights, reverse=True)
    sums = running_sums(descending)
    target = top_p * sums[-1]
    return next(weight for weight, so_far in zip(descending, sums, strict=True) if so_far >= target)


def keep_top_p(weights: list[float], top_p: float | None) -> list[float]:
    """Step 4."""
    if top_p is None or top_p >= 1:
        return weights
    floor = top_p_floor(weights, top_p)
    return [weight if weight >= floor else 0.0 for weight in weights]


def keep_min_p(weights: list[float], min_p: float | None) -> list[float]:
    """Step 5."""
    (floor,) = float32([min_p or 0.0])
    return [weight if weight >= floor else 0.0 for weight in weights]
