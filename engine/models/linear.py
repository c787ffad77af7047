"""A linear layer without bias, whose product is invariant by construction where kernels serve."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.invariance import round_up
from engine.native import kernels_for

_PANEL = 48
"""Outputs per panel: native/product.cpp's PANEL."""


class Linear(nn.Linear):
    """`nn.Linear` that keeps a second copy of its weights, packed for the native kernel.

    The copy is made at the first product, and again when the weights have changed.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self._packed: Tensor | None = None
        self._packed_version: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`[rows, in]` to `[rows, out]`."""
        kernels = kernels_for(x)
        if kernels is None or self.weight.dtype != x.dtype:
            return F.linear(x, self.weight)
        packed, x = self._panels(), x.contiguous()
        out = torch.empty(x.size(0), self.out_features)
        kernels.product(
            x.data_ptr(),
            packed.data_ptr(),
            out.data_ptr(),
            *x.shape,
            self.out_features,
            torch.get_num_threads(),
        )
        return out

    def _panels(self) -> Tensor:
        """The weights as `[panels, in, outputs of a panel]`, with zeros after the last output."""
        version = (self.weight.data_ptr(), self.weight._version)
        if self._packed is None or version != self._packed_version:
            num_outputs = round_up(self.out_features, _PANEL)
            padded = self.weight.new_zeros(num_outputs, self.in_features)
            padded[: self.out_features] = self.weight
            panels = padded.view(-1, _PANEL, self.in_features).transpose(1, 2)
            self._packed, self._packed_version = panels.contiguous(), version
        return self._packed
