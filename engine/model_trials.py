"""Trials of a model's own part of a step: its linear layers, and its forward but for attention.

Shape suffixes: M rows, C width of a layer's input, T tokens, H query heads, K key/value heads, D
head width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engine.cancelling import cancelling_factors, is_half
from engine.invariance import ROW_TILES, round_up
from engine.models.linear import MOST_NUMBERS
from engine.models.packed import PackedModel
from engine.models.placement import device_of
from engine.trial import Trial

# Every number of rows up to 64, where libraries change their ways most; then fewer and fewer.
_LARGE = (65, 77, 101, 127, 128, 129, 144, 160, 192, 203, 256, 300, 333, 512, 1000)
_PRODUCT_SIZES = (*range(1, 65), *_LARGE)
_FORWARD_SIZES = (1, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96, 257, 700, 1025)
_FORWARD_ROWS = 128
_SHARED_OUT = 2**17
"""Numbers that torch shares out among some threads, at bounds that the number of rows decides."""
_MOST_ROWS = 4096


def product_trials(model: nn.Module, num_rows: int, num_tokens: int, tile: int) -> list[Trial]:
    """One per kind and shape of linear layer, with the model's own weights.

    At most `num_rows` rows run at once, and `num_tokens` tokens of prompts and rows. Layers with
    wide results, of which only the head is one, are tried with fewer. The sizes are multiples of
    `tile`.
    """
    step = _common(tile)
    layers = {
        (type(layer), layer.weight.shape, layer.weight.dtype, layer.bias is None): layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear)
    }
    widest = max((layer.in_features for layer in layers.values()), default=0)
    generator = torch.Generator().manual_seed(0)
    most = min(num_tokens, _MOST_ROWS)
    inputs_MC = torch.randn(round_up(most, step), widest, generator=generator)
    trials = []
    for layer in layers.values():
        its_most = min(most, max(MOST_NUMBERS // layer.out_features, num_rows))
        trials.append(_product_trial(layer, inputs_MC[: round_up(its_most, step)], tile))
    return trials


def forward_trial(model: PackedModel, tile: int) -> Trial:
    """The model's forward where each token attends to itself: embedding, norms, products, head."""
    shape = model.shape
    device = device_of(model)
    generator = torch.Generator().manual_seed(1)
    width = shape.num_heads * shape.head_dim
    num_tokens = min(max(_FORWARD_ROWS, _SHARED_OUT // width), _MOST_ROWS)
    num_tokens = round_up(num_tokens, _common(tile))
    tokens_T = torch.randint(shape.vocab_size or 1, (num_tokens,), generator=generator)
    positions_T = torch.randint(shape.max_seq_len, (num_tokens,), generator=generator)
    previous = [tokens_T.flip(0)] if shape.reads_previous else []
    return Trial(
        name="the model's forward",
        run=lambda tokens, positions, *previous: model(
            tokens, positions, _attend_to_itself, None, *previous
        ),
        inputs=tuple(its.to(device) for its in (tokens_T, positions_T, *previous)),
        sizes=_sizes(_FORWARD_SIZES, num_tokens, tile),
        is_tiled=True,
    )


def _product_trial(layer: nn.Linear, inputs_MC: Tensor, tile: int) -> Trial:
    run: Callable[[Tensor], Tensor] = layer
    inputs_MC = inputs_MC[:, : layer.in_features]
    if is_half(layer.weight.dtype):
        inputs_MC, weight = cancelling_factors(
            len(inputs_MC), layer.out_features, layer.in_features, torch.Generator().manual_seed(0)
        )
        run = partial(functional_call, layer, _instead(layer, weight))
    return Trial(
        name=f"linear {layer.in_features}x{layer.out_features}",
        run=run,
        inputs=(inputs_MC.to(layer.weight).contiguous(),),
        sizes=_sizes(_PRODUCT_SIZES, len(inputs_MC), tile),
        is_tiled=True,
    )


def _instead(layer: nn.Linear, weight: Tensor) -> dict[str, Tensor]:
    """Parameters in the place of a layer's own: of the same form, and without a bias's effect."""
    parameters = {"weight": torch.empty_like(layer.weight).copy_(weight)}
    if layer.bias is not None:
        parameters["bias"] = torch.zeros_like(layer.bias)
    return parameters


def _common(tile: int) -> int:
    """So many rows are whole tiles whatever tile comes to be chosen."""
    return ROW_TILES[-1] if tile == ROW_TILES[0] else tile


def _sizes(sizes: tuple[int, ...], num_rows: int, tile: int) -> tuple[int, ...]:
    """Rounded up to whole tiles, as far as there are so many rows."""
    return tuple(sorted({min(round_up(size, tile), num_rows) for size in sizes}))


def _attend_to_itself(layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
    """In the place of attention: work on each token alone, that lets none of the three go."""
    heads_per_key = q_THD.size(1) // k_TKD.size(1)
    return q_THD + (k_TKD + v_TKD).repeat_interleave(heads_per_key, dim=1)
