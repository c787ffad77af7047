"""The linear layer multiplies by the weights that it has now, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from engine.model_trials import product_trials
from engine.models.linear import Linear

sizes = st.integers(1, 200)


def layer_of(in_features: int, out_features: int, seed: int = 0) -> Linear:
    layer = Linear(in_features, out_features).requires_grad_(False)
    layer.weight.copy_(
        torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(seed))
    )
    return layer


def inputs_of(num_rows: int, width: int) -> torch.Tensor:
    return torch.randn(num_rows, width, generator=torch.Generator().manual_seed(1))


@given(sizes, sizes, st.integers(1, 300))
def test_a_product_is_what_float64_says(in_features: int, out_features: int, num_rows: int) -> None:
    layer, x = layer_of(in_features, out_features), inputs_of(num_rows, in_features)
    expected = x.double() @ layer.weight.double().T
    assert torch.allclose(layer(x).double(), expected, atol=1e-4, rtol=1e-4)


@given(sizes, sizes, st.integers(1, 300), st.data())
def test_rows_have_the_same_bits_in_any_company(
    in_features: int, out_features: int, num_rows: int, data: st.DataObject
) -> None:
    layer, x = layer_of(in_features, out_features), inputs_of(num_rows, in_features)
    first = data.draw(st.integers(0, num_rows - 1))
    last = data.draw(st.integers(first, num_rows - 1))
    together = layer(x)
    assert torch.equal(layer(x[first : last + 1]), together[first : last + 1])


class Products(TorchFunctionMode):
    """Notes the rows of torch's products."""

    def __init__(self) -> None:
        super().__init__()
        self.num_rows: list[int] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.linear:
            self.num_rows.append(args[0].numel() // args[0].size(-1))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("out_features", [2**15, 50_304, 152_064])
def test_torch_multiplies_by_a_head_for_as_many_rows_as_the_probe_tries(out_features: int) -> None:
    """In half precision no kernel of ours serves; 576 is a chunk beside 64 rows."""
    layer = layer_of(8, out_features).bfloat16()
    x = inputs_of(576, 8).bfloat16()
    with Products() as products:
        (trial,) = product_trials(layer, num_rows=64, num_tokens=4096, tile=16)
        logits = layer(x.unsqueeze(0))[0]
    assert sum(products.num_rows) == 576
    assert max(products.num_rows) <= max(trial.sizes)
    assert all(its % 64 == 0 for its in products.num_rows)
    assert torch.equal(logits[-64:], layer(x[-64:]))
    assert torch.allclose(logits, F.linear(x, layer.weight), atol=0.1, rtol=0.02)


def test_torch_multiplies_by_other_layers_at_once() -> None:
    layer = layer_of(8, 2**14).bfloat16()
    with Products() as products:
        layer(inputs_of(2048, 8).bfloat16())
    assert products.num_rows == [2048]


CHANGES: dict[str, Callable[[Linear], object]] = {
    "in place": lambda layer: layer.weight.mul_(2),
    "loaded": lambda layer: layer.load_state_dict({"weight": layer.weight * 2}),
    "assigned": lambda layer: layer.load_state_dict({"weight": layer.weight * 2}, assign=True),
    "converted": lambda layer: layer.half().float(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_are_seen(change: Callable[[Linear], object]) -> None:
    layer, x = layer_of(40, 70), inputs_of(5, 40)
    layer(x)
    change(layer)
    fresh = Linear(40, 70).requires_grad_(False)
    fresh.weight.copy_(layer.weight)
    assert torch.equal(layer(x), fresh(x))


@pytest.fixture
def float64_by_default() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_torchs_default_dtype_changes_nothing(float64_by_default: None) -> None:
    layer = layer_of(40, 70).float()
    x = inputs_of(5, 40).float()
    assert layer(x).dtype == torch.float32
    expected = x.double() @ layer.weight.double().T
    assert torch.allclose(layer(x).double(), expected, atol=1e-5)


def test_weights_made_in_inference_mode_serve_too() -> None:
    with torch.inference_mode():
        layer, x = layer_of(40, 70), inputs_of(9, 40)
        assert torch.equal(layer(x[:5]), layer(x)[:5])
