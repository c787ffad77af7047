"""An activation's bits don't depend on how many rows, or how many threads, share the call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from engine.models.hf.elementwise import Elementwise


@pytest.fixture(params=[1, 3, 6])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Tanh()])
def test_a_rows_activations_are_the_same_in_any_batch(threads: int, activation: nn.Module) -> None:
    """torch's own are not: three threads end their shares where no vector does."""
    rows = torch.randn(3000, 64, generator=torch.Generator().manual_seed(0)) * 3
    layer = Elementwise(activation)
    expected = layer(rows)
    assert torch.allclose(expected, activation(rows), atol=1e-6)
    for number in (1, 2, 255, 257, 700, 1025, 2001):
        assert torch.equal(layer(rows[-number:]), expected[-number:])
        assert torch.equal(layer(rows[:number].clone()), expected[:number])


def test_a_view_into_a_wider_tensor_is_taken_as_it_is() -> None:
    wide = torch.randn(1, 700, 128, generator=torch.Generator().manual_seed(0))
    gate, _ = wide.chunk(2, dim=-1)
    assert torch.equal(Elementwise(nn.ReLU())(gate), gate.relu())
