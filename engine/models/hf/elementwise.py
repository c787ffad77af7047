"""Activations whose bits don't depend on how many numbers share the call.

torch takes numbers by vectors, and what is left over one by one, with a last bit that may differ.
What is left over lies at the end of each thread's share, and so where the batch's size has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_AT_ONCE = 16_384
"""Numbers: whole vectors, and too few for torch to share them out among threads."""


class Elementwise(nn.Module):
    """A module that works on each number alone, called for so many at a time that none are left
    over but at the end of the batch, where they are none if the batch is whole vectors."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.numel() <= _AT_ONCE:
            out: Tensor = self.activation(x.contiguous())
            return out
        pieces = x.flatten().split(_AT_ONCE)  # type: ignore[no-untyped-call]
        return torch.cat([self.activation(piece) for piece in pieces]).view(x.shape)
