"""A linear layer whose product is invariant by construction where kernels serve."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.invariance import ROW_TILES, round_up
from engine.native import kernels_for

MOST_NUMBERS = 2**23
"""In a product's result that the probe tries, unless running rows alone make more."""
_WIDE = 2**15
"""Outputs of a layer that nothing but a model's head has."""


class Linear(nn.Linear):
    """`nn.Linear` that keeps a second copy of its weights, packed for the native kernel.

    The copy is made at the first product, and again once the weights were loaded, converted or
    changed in place. A change through `.data` goes unseen.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__(in_features, out_features, bias)
        self._packed: Tensor | None = None
        self._packed_of: tuple[Tensor, int] | None = None
        """The weights that the copy is of: held, so that their address can't be given to others."""

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Linear:
        """A layer of given nn.Parameters, which others may hold too."""
        out_features, in_features = weight.shape
        with torch.device("meta"):  # no time or memory for values that are replaced at once
            layer = cls(in_features, out_features, bias is not None)
        for name, parameter in (("weight", weight), ("bias", bias)):
            assert isinstance(parameter, nn.Parameter | None)
            layer.register_parameter(name, parameter)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        kernels = kernels_for(x)
        if kernels is None or kernels_for(self.weight) is None:
            return self._in_parts(x)
        assert x.size(-1) == self.in_features, f"{x.shape} for {self.in_features} features"
        panels, x = self._panels(kernels.panel), x.contiguous()
        out = x.new_empty(*x.shape[:-1], self.out_features)
        kernels.product(
            x.data_ptr(),
            panels.data_ptr(),
            out.data_ptr(),
            x.numel() // self.in_features,
            self.in_features,
            self.out_features,
            torch.get_num_threads(),
        )
        return out if self.bias is None else out.add_(self.bias)

    def _in_parts(self, x: Tensor) -> Tensor:
        """By torch: of a head, no more rows at once than the probe tries of it.

        They may be hundreds, where a prompt's log-probabilities are asked for. The parts are whole
        tiles, if all rows together are.
        """
        most = max(MOST_NUMBERS // self.out_features // ROW_TILES[-1], 1) * ROW_TILES[-1]
        if self.out_features < _WIDE or x.numel() <= most * self.in_features:
            return F.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, self.in_features)
        out = x.new_empty(len(rows), self.out_features)
        for its_out, its_rows in zip(torch.split(out, most), torch.split(rows, most), strict=True):
            its_out.copy_(F.linear(its_rows, self.weight, self.bias))
        return out.view(*x.shape[:-1], self.out_features)

    def _panels(self, size: int) -> Tensor:
        """The weights as `[panels, in, outputs of a panel]`, with zeros after the last output."""
        weight = self.weight.detach()
        version = 0 if weight.is_inference() else weight._version
        if self._packed is None or not _are_same(self._packed_of, weight, version):
            num_outputs = round_up(self.out_features, size)
            padded = weight.new_zeros(num_outputs, self.in_features)
            padded[: self.out_features] = weight
            panels = padded.view(-1, size, self.in_features).transpose(1, 2)
            self._packed, self._packed_of = panels.contiguous(), (weight, version)
        return self._packed


def _are_same(packed_of: tuple[Tensor, int] | None, weight: Tensor, version: int) -> bool:
    if packed_of is None:
        return False
    packed, packed_version = packed_of
    return packed.data_ptr() == weight.data_ptr() and packed_version == version
