"""What models do between their matrix products.

Each is one pass over memory by a native kernel where those serve, else a few operations of torch.
Every row is computed alone: its bits depend on nothing else in the batch.

Shape suffixes: T tokens, C width, N heads, D head width, d half of it, S positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.native import kernels_for


def norm(x_TC: Tensor) -> Tensor:
    """RMS norm without parameters, over the last dimension."""
    kernels = kernels_for(x_TC)
    if kernels is None:
        return F.rms_norm(x_TC, (x_TC.size(-1),))
    assert x_TC.dim() == 2 and x_TC.is_contiguous()
    out_TC = torch.empty_like(x_TC)
    kernels.norm(x_TC.data_ptr(), out_TC.data_ptr(), *x_TC.shape, torch.get_num_threads())
    return out_TC


def add_norm(x_TC: Tensor, y_TC: Tensor) -> Tensor:
    """Add y to x in place, and return the norm of the sum."""
    kernels = kernels_for(x_TC)
    if kernels is None:
        return norm(x_TC.add_(y_TC))
    assert x_TC.dim() == 2 and x_TC.is_contiguous()
    assert y_TC.shape == x_TC.shape and y_TC.is_contiguous() and y_TC.dtype == x_TC.dtype
    out_TC = torch.empty_like(x_TC)
    kernels.add_norm(
        x_TC.data_ptr(),
        y_TC.data_ptr(),
        out_TC.data_ptr(),
        *x_TC.shape,
        torch.get_num_threads(),
    )
    return out_TC


def rotate_norm_(x_TND: Tensor, positions_T: Tensor, cos_Sd: Tensor, sin_Sd: Tensor) -> None:
    """Rotate pairs (i, i + D/2) of each head by minus the position's angle, then norm; in place.

    Tokens may be further apart than their heads take: a slice of a wider product will do.
    """
    kernels = kernels_for(x_TND)
    if kernels is None:
        cos_T1d, sin_T1d = cos_Sd[positions_T].unsqueeze(-2), sin_Sd[positions_T].unsqueeze(-2)
        left, right = x_TND.chunk(2, dim=-1)
        rotated = [left * cos_T1d + right * sin_T1d, right * cos_T1d - left * sin_T1d]
        x_TND.copy_(norm(torch.cat(rotated, dim=-1)))
        return
    assert x_TND.stride()[1:] == (x_TND.size(2), 1) and positions_T.dtype == torch.int64
    assert cos_Sd.dtype == sin_Sd.dtype == x_TND.dtype and cos_Sd.is_contiguous()
    kernels.rotate_norm(
        x_TND.data_ptr(),
        x_TND.stride(0),
        positions_T.data_ptr(),
        cos_Sd.data_ptr(),
        sin_Sd.data_ptr(),
        *x_TND.shape,
        torch.get_num_threads(),
    )


def relu_square_(x_TC: Tensor) -> Tensor:
    """The square of what is positive, in place."""
    kernels = kernels_for(x_TC)
    if kernels is None:
        return F.relu_(x_TC).square_()
    assert x_TC.dim() == 2 and x_TC.is_contiguous()
    kernels.relu_square(x_TC.data_ptr(), *x_TC.shape, torch.get_num_threads())
    return x_TC


def sigmoid(x: Tensor) -> Tensor:
    """As torch's, which rounds differently in the last elements of a tensor."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return wide.neg().exp_().add_(1.0).reciprocal_().to(x.dtype)
