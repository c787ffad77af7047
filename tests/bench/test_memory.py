"""What the bench says about memory."""

from __future__ import annotations

import pytest

from bench.memory import kv_figure
from tests.bench.models import small_model


@pytest.mark.parametrize("num_rows", [1, 4, 16])
def test_a_prompt_is_kept_once_for_all_its_rows(num_rows: int) -> None:
    """Sizes at which the engine keeps nothing in reserve."""
    figure = kv_figure(small_model(), num_rows, 128, 64)
    assert figure.bytes == figure.shared_bytes
    per_token = 2 * 2 * 2 * 16 * 4  # layers, keys and values, heads, head width, float32
    assert figure.shared_bytes == (128 + num_rows * 64) * per_token
    assert figure.copied_bytes == num_rows * (128 + 64) * per_token
