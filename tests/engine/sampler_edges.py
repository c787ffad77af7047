"""Whether a token hinges on the last bits of exp, which docs/sampler.md leaves to the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.engine import reference_sampler as reference

# Eight times what a weight may differ by between machines.
_RELATIVE = 2.0**-20
# Many steps of float32's subnormal numbers, which are coarser than that.
_ABSOLUTE = 2.0**-140
# What sums of some hundred weights in float64 may then round otherwise.
_ROUNDING = 2.0**-45


def hinges_on_exp(
    logits: Sequence[float],
    number: float,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> bool:
    """Whether another exp, right but for its last bits, might draw another token. Errs towards yes.

    The logits are finite or -inf, and not all -inf.
    """
    if temperature < 1e-6:
        return False
    exponents = reference.exponents(logits, temperature, top_k)
    if set(exponents) <= {0.0, -math.inf}:  # exp of these is exact everywhere
        return False
    weights = reference.rounded_exp(exponents)
    if top_p is not None and top_p < 1 and _hinges_at_top_p(exponents, weights, top_p):
        return True
    weights = reference.keep_top_p(weights, top_p)
    if min_p and _hinges_at_min_p(exponents, weights, min_p):
        return True
    weights = reference.keep_min_p(weights, min_p)
    sums = reference.running_sums(weights)
    last = sums.index(sums[-1])  # no number is beyond the last token
    return _is_close_to_one_of(sums[:last], number * sums[-1], _slack(exponents, weights))


def _hinges_at_top_p(exponents: list[float], weights: list[float], top_p: float) -> bool:
    sums = reference.running_sums(sorted(weights, reverse=True))
    if _is_close_to_one_of(sums, top_p * sums[-1], _slack(exponents, weights)):
        return True
    floor = reference.top_p_floor(weights, top_p)
    pairs = zip(exponents, weights, strict=True)
    return len({exponent for exponent, weight in pairs if _is_close(weight, floor)}) > 1


def _hinges_at_min_p(exponents: list[float], weights: list[float], min_p: float) -> bool:
    pairs = zip(exponents, weights, strict=True)
    return any(weight and exponent and _is_close(weight, min_p) for exponent, weight in pairs)


def _is_close(weight: float, floor: float) -> bool:
    return abs(weight - floor) < _RELATIVE * floor + _ABSOLUTE


def _slack(exponents: list[float], weights: list[float]) -> float:
    """What a sum may be off by for its weights' sake. That of exp(0) = 1 is exact."""
    pairs = zip(exponents, weights, strict=True)
    return _RELATIVE * sum(weight for exponent, weight in pairs if exponent) + _ABSOLUTE


def _is_close_to_one_of(sums: list[float], target: float, slack: float) -> bool:
    return any(abs(so_far - target) < slack + _ROUNDING * (so_far + target) for so_far in sums)
