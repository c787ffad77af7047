"""Whether this machine keeps the part of the promise that is not in our hands."""

from __future__ import annotations

import torch
from torch import nn

from engine.invariance import ROW_TILE


def products_are_invariant(model: object) -> bool:
    """Try each shape of linear layer in a model: does a row's result keep its bits in company?

    It may not where a product ran before the engine was imported (MKL then has chosen its mode),
    where MKL_CBWR is set to something else, and on devices and dtypes that nobody has tried.
    """
    if not isinstance(model, nn.Module):
        return True
    layers = {
        (layer.weight.shape, layer.weight.dtype): layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear)
    }
    return all(_is_invariant(layer) for layer in layers.values())


@torch.inference_mode()
def _is_invariant(layer: nn.Linear) -> bool:
    weight = layer.weight
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16 * ROW_TILE, weight.size(1), generator=generator).to(weight)
    together = layer(x)
    return all(
        torch.equal(layer(x[:num_rows]), together[:num_rows])
        for num_rows in (ROW_TILE, 2 * ROW_TILE, 5 * ROW_TILE)
    )
