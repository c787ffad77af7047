"""The floor's shapes are those of the workload."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.peers.floor import decode_shapes, prefill_shapes

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=40)


@given(LENGTHS)
def test_every_prompt_token_is_prefilled_and_every_prompt_ends_once(lengths: list[int]) -> None:
    shapes = list(prefill_shapes(lengths))
    assert sum(num_tokens for num_tokens, _ in shapes) == sum(lengths)
    assert sum(num_ended for _, num_ended in shapes) == len(lengths)
    assert all(num_tokens == 2048 for num_tokens, _ in shapes[:-1])


@given(LENGTHS, st.integers(1, 8))
def test_every_token_after_the_first_is_decoded_once(lengths: list[int], max_rows: int) -> None:
    shapes = decode_shapes(lengths, max_rows)
    assert sum(shapes) == sum(lengths) - len(lengths)
    assert all(1 <= num_rows <= max_rows for num_rows in shapes)


def test_a_row_starts_as_soon_as_another_makes_room() -> None:
    assert decode_shapes([3, 5, 3], max_rows=2) == [2, 2, 2, 2]
    assert decode_shapes([3, 5, 3], max_rows=3) == [3, 3, 1, 1]
