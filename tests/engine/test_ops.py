"""What models do between their products: right to the last bits, each row alone.

Both ways are held to the same: the native kernels', and torch's in another dtype.

Shape suffixes: T tokens, C width, N heads, D head width, d half of it, S positions.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.ops import add_norm, norm, relu_square_, rotate_norm_, sigmoid

WIDTHS = (1, 2, 15, 16, 17, 31, 33, 64, 100, 384, 1000)
NUMS_TOKENS = (1, 2, 3, 17, 200)  # more than 2^14 numbers are shared out among threads
DTYPES = [torch.float32, torch.float64]


def random(*sizes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(sizes))
    return torch.randn(*sizes, generator=generator).mul_(3).to(dtype)


def normed(x: Tensor) -> Tensor:
    """In float64, with the epsilon that torch takes for x's dtype."""
    eps = torch.finfo(x.dtype).eps
    return x.double() / (x.double().square().mean(-1, keepdim=True) + eps).sqrt()


def ulps(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the last place of each row's largest number."""
    unit = expected.abs().amax(-1, keepdim=True).clamp(min=1e-30) * torch.finfo(found.dtype).eps
    return float(((found.double() - expected).abs() / unit).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_norms_are_right(width: int, dtype: torch.dtype) -> None:
    for num_tokens in NUMS_TOKENS:
        x_TC = random(num_tokens, width, dtype=dtype)
        before_TC = x_TC.clone()
        assert ulps(norm(x_TC), normed(x_TC)) < 4
        assert torch.equal(x_TC, before_TC)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_sum_is_left_in_place_and_its_norm_returned(width: int, dtype: torch.dtype) -> None:
    for num_tokens in NUMS_TOKENS:
        x_TC, y_TC = random(2, num_tokens, width, dtype=dtype)
        sum_TC = x_TC + y_TC
        out_TC = add_norm(x_TC, y_TC)
        assert torch.equal(x_TC, sum_TC)
        assert ulps(out_TC, normed(sum_TC)) < 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", [2, 10, 16, 32, 34, 64, 128])
def test_heads_are_rotated_by_their_position_and_normed(head_dim: int, dtype: torch.dtype) -> None:
    half, num_heads = head_dim // 2, 3
    angles_Sd = random(50, half, dtype=dtype)
    cos_Sd, sin_Sd = angles_Sd.cos(), angles_Sd.sin()
    for num_tokens in NUMS_TOKENS:
        wide = random(num_tokens, num_heads + 2, head_dim, dtype=dtype)
        before = wide.clone()
        positions_T = torch.arange(num_tokens) * 7 % 50
        rotate_norm_(wide[:, :num_heads], positions_T, cos_Sd, sin_Sd)
        left, right = before[:, :num_heads].double().chunk(2, -1)
        cos, sin = cos_Sd[positions_T, None].double(), sin_Sd[positions_T, None].double()
        rotated = torch.cat([left * cos + right * sin, right * cos - left * sin], -1)
        expected = (
            rotated / (rotated.square().mean(-1, keepdim=True) + torch.finfo(dtype).eps).sqrt()
        )
        assert ulps(wide[:, :num_heads], expected) < 6
        assert torch.equal(wide[:, num_heads:], before[:, num_heads:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_positive_is_squared(width: int, dtype: torch.dtype) -> None:
    for num_tokens in NUMS_TOKENS:
        x_TC = random(num_tokens, width, dtype=dtype)
        expected = F.relu(x_TC) * F.relu(x_TC)
        assert relu_square_(x_TC) is x_TC
        assert torch.equal(x_TC, expected)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16, torch.float16])
def test_a_sigmoid_does_not_depend_on_its_place(dtype: torch.dtype) -> None:
    """As torch's does."""
    x = random(1000, dtype=dtype)
    whole = sigmoid(x)
    assert whole.dtype == dtype
    assert ulps(whole, x.double().sigmoid()) < 2
    for size in (1, 3, 8, 13, 17, 64):
        parts = [sigmoid(part) for part in x.split(size)]
        assert torch.equal(torch.cat(parts), whole)


def test_a_nan_stays_in_its_row() -> None:
    x_TC, y_TC = random(2, 5, 33)
    expected = norm(x_TC), norm(x_TC + y_TC), relu_square_(x_TC.clone())
    x_TC[2, 7] = math.nan
    results = norm(x_TC), add_norm(x_TC.clone(), y_TC), relu_square_(x_TC.clone())
    for result, its in zip(results, expected, strict=True):
        assert result[2].isnan().any()
        assert torch.equal(result[[0, 1, 3, 4]], its[[0, 1, 3, 4]])
    assert relu_square_(x_TC)[2, 7].isnan()


def test_numbers_at_the_ends_of_their_range_come_through() -> None:
    x_TC = torch.tensor([[0.0, -0.0, 1e-45, -1e-45]]).repeat(1, 9)
    assert torch.equal(relu_square_(x_TC.clone()), torch.zeros_like(x_TC))
    assert ulps(norm(x_TC), normed(x_TC)) < 4
    assert norm(torch.zeros(1, 20)).eq(0).all()
    assert relu_square_(torch.tensor([[math.inf, -math.inf]])).tolist() == [[math.inf, 0.0]]
