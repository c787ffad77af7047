"""Factors whose products sum to nothing but rounding, so that any other order of sums shows.

Half-precision results keep so few bits that sums in another order mostly round to the same number:
a trial with ordinary factors would have to see some 100,000 of them. Here the exact sum is 0, and
every bit of the result tells of the order.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SCALE = 64.0
"""Of a factor; keeps what rounding leaves of the sum within half precision's normal numbers."""


def is_half(dtype: torch.dtype) -> bool:
    return dtype.itemsize < 4


def cancelling_factors(
    num_left: int, num_right: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two float32 matrices of `width` columns; every product of a left and a right row is 0.

    The columns come in pairs with opposite sums, in random order; an odd one is 0.
    """
    left = torch.randn(num_left, width // 2, generator=generator) * _SCALE
    right = torch.randn(num_right, width // 2, generator=generator) * _SCALE
    order = torch.randperm(width, generator=generator)
    rest = width % 2
    lefts = torch.cat([left, left, left.new_zeros(num_left, rest)], -1)
    rights = torch.cat([right, -right, right.new_zeros(num_right, rest)], -1)
    return lefts[:, order], rights[:, order]
