"""The KVCache keeps every value through growth, shrinking and moves of rows."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import KVCache

LAYERS, HEADS, DIM = 3, 2, 4


def cache_of(rows: int, tokens: int) -> KVCache:
    return KVCache(
        batch_size=rows, num_heads=HEADS, seq_len=tokens, head_dim=DIM, num_layers=LAYERS
    )


def distinct(layer: int, rows: int, start: int, tokens: int) -> Tensor:
    """A value of its own for each place `(layer, row, head, token, dim)`; keys, not values."""
    shape = (rows, HEADS, tokens, DIM)
    row, head, token, dim = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
    return ((((layer * 50 + row) * HEADS + head) * 5000 + start + token) * DIM + dim).double() + 1


def insert(cache: KVCache, num_tokens: int) -> None:
    """Insert distinct keys, and their negatives as values, in all layers."""
    start = cache.get_pos()
    for layer in range(LAYERS):
        keys = distinct(layer, cache.num_rows, start, num_tokens)
        seen_keys, seen_values = cache.insert_kv(layer, keys, -keys)
        expected = distinct(layer, cache.num_rows, 0, start + num_tokens)
        assert torch.equal(seen_keys, expected) and torch.equal(seen_values, -expected)
        assert cache.get_pos() == start + (num_tokens if layer == LAYERS - 1 else 0)


def assert_holds(cache: KVCache, num_tokens: int) -> None:
    assert cache.kv_cache is not None and cache.kv_cache.shape == cache.kv_shape
    for layer in range(LAYERS):
        expected = distinct(layer, cache.num_rows, 0, num_tokens)
        assert torch.equal(cache.kv_cache[layer, 0, :, :, :num_tokens], expected)
        assert torch.equal(cache.kv_cache[layer, 1, :, :, :num_tokens], -expected)


@pytest.mark.parametrize(("seq_len", "pieces"), [(4, [1] * 5), (4, [3, 3]), (1, [1, 1500, 2000])])
def test_growth_keeps_every_value_and_place(seq_len: int, pieces: list[int]) -> None:
    cache = cache_of(2, seq_len)
    for num_tokens in pieces:
        insert(cache, num_tokens)
    assert cache.num_tokens > seq_len
    assert_holds(cache, sum(pieces))


def test_nothing_is_allocated_before_the_first_insert_which_sets_the_dtype() -> None:
    cache = cache_of(2, 8)
    assert cache.kv_cache is None and cache.get_pos() == 0
    half = torch.ones(2, HEADS, 1, DIM, dtype=torch.bfloat16)
    cache.insert_kv(0, half, half)
    assert cache.kv_cache is not None and cache.kv_cache.dtype == torch.bfloat16
    assert cache.kv_cache[:, :, :, :, 1:].count_nonzero() == 0


def test_reset_starts_again_in_the_same_memory() -> None:
    cache = cache_of(2, 8)
    insert(cache, 5)
    memory = cache.kv_cache
    cache.reset()
    assert cache.get_pos() == 0
    insert(cache, 3)
    assert cache.kv_cache is memory
    assert_holds(cache, 3)


@pytest.mark.parametrize("rows", [1, 3])
def test_prefill_repeats_one_row_for_all(rows: int) -> None:
    prompt, cache = cache_of(1, 1), cache_of(rows, 10)
    insert(prompt, 7)
    cache.prefill(prompt)
    assert cache.get_pos() == 7
    assert cache.kv_cache is not None and prompt.kv_cache is not None
    for row in range(rows):
        assert torch.equal(cache.kv_cache[:, :, row, :, :7], prompt.kv_cache[:, :, 0, :, :7])
    cache.kv_cache[:, :, 0] = 0  # a copy: the prompt's own is untouched
    assert_holds(prompt, 7)


def test_prefill_copies_a_batch_of_the_same_size_row_by_row() -> None:
    prompt, cache = cache_of(3, 4), cache_of(3, 5)
    insert(prompt, 4)
    cache.prefill(prompt)
    insert(cache, 2)
    assert_holds(cache, 6)


def filled(rows: int, tokens: int) -> KVCache:
    cache = cache_of(rows, tokens)
    insert(cache, tokens)
    return cache


@pytest.mark.parametrize(
    ("cache", "other", "message"),
    [
        (filled(2, 4), filled(1, 4), "empty"),
        (cache_of(2, 4), cache_of(1, 4), "nothing was inserted"),
        (cache_of(3, 4), filled(2, 4), "2 rows can't become 3"),
        (cache_of(2, 3), filled(1, 4), "4 tokens don't fit a KVCache of 3"),
        (KVCache(2, HEADS + 1, 4, DIM, LAYERS), filled(1, 4), "shapes differ"),
        (KVCache(2, HEADS, 4, DIM + 1, LAYERS), filled(1, 4), "shapes differ"),
        (KVCache(2, HEADS, 4, DIM, LAYERS + 1), filled(1, 4), "shapes differ"),
    ],
)
def test_a_prefill_that_does_not_fit_is_refused(
    cache: KVCache, other: KVCache, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cache.prefill(other)


def test_select_rows_keeps_the_given_rows_in_their_order() -> None:
    cache = filled(5, 4)
    before = cache.kv_cache
    cache.select_rows([4, 0, 4, 2])
    assert before is not None and cache.kv_cache is not None and cache.num_rows == 4
    assert torch.equal(cache.kv_cache, before[:, :, [4, 0, 4, 2]])
    cache.insert_kv(0, *[torch.zeros(4, HEADS, 1, DIM).double()] * 2)  # and goes on


# One operation on a cache of slots: its name and up to three numbers.
numbers = st.integers(0, 9)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.tuples(numbers, numbers), min_size=1), st.none()),
        st.tuples(st.just("resize"), st.none() | numbers, st.none() | numbers),
        st.tuples(st.just("move"), numbers, numbers),
        st.tuples(st.just("clear"), numbers, st.none()),
        st.tuples(st.just("select"), st.lists(numbers, min_size=1), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(operations)
def test_slots_behave_as_a_dict_of_places(program: list[tuple[str, ...]]) -> None:
    cache, places = cache_of(4, 4), dict[tuple[int, int], float]()
    value = 0.0
    for name, first, second in program:
        rows, tokens = cache.num_rows, cache.num_tokens
        if name == "resize":
            cache.resize(first, second)
            rows, tokens = cache.num_rows, cache.num_tokens
            places = {(r, t): v for (r, t), v in places.items() if r < rows and t < tokens}
        elif rows == 0:
            continue
        elif name == "write" and tokens:
            chosen = sorted({(r % rows, t % tokens) for r, t in first})
            values = [value := value + 1 for _ in chosen]
            write(cache, chosen, values)
            places.update(zip(chosen, values, strict=True))
        elif name == "move":
            source, target = first % rows, second % rows
            cache.move_row(source, target)
            moved = {(target, t): v for (r, t), v in places.items() if r == source}
            places = {at: v for at, v in places.items() if at[0] != target} | moved
        elif name == "clear":
            cache.clear_row(first % rows)
            places = {at: v for at, v in places.items() if at[0] != first % rows}
        elif name == "select":
            chosen = [row % rows for row in first]
            cache.select_rows(chosen)
            places = {
                (new, t): v
                for new, old in enumerate(chosen)
                for (r, t), v in places.items()
                if r == old
            }
        assert_places(cache, places)


def write(cache: KVCache, places: list[tuple[int, int]], values: list[float]) -> None:
    rows, positions = (torch.tensor(each) for each in zip(*places, strict=True))
    keys = torch.tensor(values).double()[:, None, None].expand(-1, HEADS, DIM)
    for layer in range(LAYERS):
        cache.write(layer, rows, positions, keys + layer / 8, -keys)


def assert_places(cache: KVCache, places: dict[tuple[int, int], float]) -> None:
    """Every place holds what the dict says, and zero where it says nothing."""
    if cache.kv_cache is None:
        return
    assert cache.kv_cache.shape == (LAYERS, 2, cache.num_rows, HEADS, cache.num_tokens, DIM)
    expected_RT = torch.zeros(cache.num_rows, cache.num_tokens).double()
    for row, token in product(range(cache.num_rows), range(cache.num_tokens)):
        expected_RT[row, token] = places.get((row, token), 0.0)
    expected = expected_RT[:, None, :, None].expand(-1, HEADS, -1, DIM)
    for layer in range(LAYERS):
        keys, values = cache.view(layer, cache.num_rows, cache.num_tokens)
        assert torch.equal(keys, torch.where(expected == 0, 0.0, expected + layer / 8))
        assert torch.equal(values, -expected)
