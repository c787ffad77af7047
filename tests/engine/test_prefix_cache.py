"""Prompts that begin alike share keys and values, and no row can tell.

test_kernels.py runs them in torch's way, too.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from itertools import takewhile
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, Request, RowResult
from engine.native import kernels_for
from engine.prefix_cache import Block, PrefixCache, block_names
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import drain, new_engine, prompt_of, request, run_all
from tests.engine.scarce import Scarce

MODEL = random_model(2, 1, 8, 1, is_chaotic=True, sequence_len=2048)
IS_NATIVE = kernels_for(torch.empty(0)) is not None
BLOCK = 64 if IS_NATIVE else 512
CHUNK = 512


def beginning_alike(num_common: int, num_own: int, seed: int, trunk: int = 0) -> list[int]:
    return prompt_of(num_common, trunk) + prompt_of(num_own, 100 + seed)


def one_after_another(engine: Engine, mix: list[Request]) -> list[list[RowResult]]:
    """Each is submitted when the one before it is done."""
    rows = []
    for each in mix:
        engine.submit(each)
        rows.append(drain(engine)[each.id])
    return rows


# Names.

tokens = st.lists(st.integers(0, 2), max_size=20)


@given(st.integers(1, 5), tokens, tokens, tokens)
def test_blocks_have_one_name_where_all_up_to_their_end_is_alike(
    size: int, common: list[int], one: list[int], other: list[int]
) -> None:
    names = [block_names(common + own, size) for own in (one, other)]
    assert [len(its) for its in names] == [len(common + own) // size for own in (one, other)]
    pairs = zip(common + one, common + other, strict=False)
    num_alike = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    is_equal = [a == b for a, b in zip(*names, strict=False)]
    assert is_equal == [(n + 1) * size <= num_alike for n in range(len(is_equal))]
    assert len({*names[0], *names[1]}) == len(names[0]) + len(names[1]) - sum(is_equal)


def test_a_name_stands_for_whole_token_ids() -> None:
    prompts = [[1, 0], [0, 1], [256, 0], [1, 256], [2**31 - 1, 0], [0, 0]]
    assert len({block_names(prompt, 2)[0] for prompt in prompts}) == len(prompts)


# What stays, and what goes.


def filled(*prompts: list[bytes]) -> PrefixCache:
    """The blocks of prompts that came one after the other."""
    cache = PrefixCache(1, is_on=True)
    for names in prompts:
        blocks = cache.acquire(names)
        for name in names[len(blocks) :]:
            blocks.append(Block(torch.empty(0)))
            cache.add(name, blocks[-1])
        cache.release(blocks)
    return cache


def test_the_least_recently_used_goes_first_and_of_a_prompt_the_deepest() -> None:
    cache = filled([b"a", b"ab", b"abc"], [b"x", b"xy"], [b"a", b"ab", b"abd"])
    order = [b"abc", b"xy", b"x", b"abd", b"ab", b"a"]
    while order:
        assert cache.num_tokens == cache.num_idle_tokens == len(order)
        assert all(name in cache for name in order)
        cache.evict(1)
        assert order.pop(0) not in cache
    cache.evict(1)
    assert cache.num_tokens == 0


def test_what_is_used_stays() -> None:
    cache = filled([b"a", b"ab"], [b"x"])
    used = cache.acquire([b"a", b"ac"])
    assert [block.name for block in used] == [b"a"]
    assert (cache.num_tokens, cache.num_idle_tokens) == (3, 2)
    cache.evict(100)
    assert b"a" in cache and cache.num_tokens == 1
    cache.release(used)
    cache.evict(1)
    assert cache.num_tokens == 0


# What is computed.


def test_what_prompts_that_come_together_have_in_common_is_computed_once() -> None:
    mix = [request(str(n), beginning_alike(CHUNK, 32, n), max_tokens=1) for n in range(64)]
    engine = new_engine(MODEL)
    for each in mix:
        engine.submit(each)
    engine.step()
    assert engine.stats.prompt_tokens == CHUNK + 32
    rows = drain(engine)
    assert engine.stats.steps == 2
    assert engine.stats.prompt_tokens == CHUNK + 64 * 32
    assert engine.stats.cached_prompt_tokens == 63 * CHUNK
    expected = run_all(MODEL, mix, prefix_cache=False)
    assert rows == {name: expected[name] for name in rows} and len(rows) == 63


@pytest.mark.parametrize("length", [1, 64, 65, CHUNK, CHUNK + 1, 1024, 1100])
def test_of_a_prompt_that_comes_again_the_last_token_is_computed(length: int) -> None:
    each = request("a", prompt_of(length, 1), 2, max_tokens=5)
    engine = new_engine(MODEL)
    first, again = one_after_another(engine, [each, each])
    assert first == again == run_all(MODEL, [each], prefix_cache=False)["a"]
    num_cached = (length - 1) // BLOCK * BLOCK
    assert engine.stats.cached_prompt_tokens == num_cached
    assert engine.stats.prompt_tokens == 2 * length - num_cached


@pytest.mark.parametrize("num_common", [0, 1, 63, 64, 65, 511, 512, 513, 640, 1024, 1090])
def test_a_prompt_finds_whole_blocks_of_what_went_before(num_common: int) -> None:
    """At boundaries that change no bits, wherever the rest of the prompt ends."""
    mix = [request("first", prompt_of(1100, 0), max_tokens=3)]
    mix += [
        request(str(own), beginning_alike(num_common, own, own), 2, max_tokens=3)
        for own in (1, 70, 600)
    ]
    engine = new_engine(MODEL)
    rows = one_after_another(engine, mix)
    for each, its in zip(mix, rows, strict=True):
        assert its == run_all(MODEL, [each], prefix_cache=False)[each.id]
    assert engine.stats.cached_prompt_tokens == 3 * (num_common // BLOCK * BLOCK)


def test_who_has_nothing_in_common_does_not_wait_for_those_who_have() -> None:
    engine = new_engine(MODEL)
    for n in range(3):
        engine.submit(request(str(n), beginning_alike(CHUNK, 9, n), max_tokens=9))
    engine.submit(request("other", prompt_of(700, 7), max_tokens=1))
    assert [result.request_id for result in engine.step()] == ["other"]


def test_who_waits_for_a_block_computes_it_where_the_other_is_gone() -> None:
    mix = [request(str(n), beginning_alike(1024, 9, n), max_tokens=3) for n in range(3)]
    expected = run_all(MODEL, mix, prefix_cache=False)
    for num_steps in range(4):
        engine = new_engine(MODEL, max_prefill_tokens=1)
        for each in mix:
            engine.submit(each)
        for _ in range(num_steps):
            engine.step()
        assert engine.cancel("0")
        rows = drain(engine)
        assert rows == {name: expected[name] for name in ("1", "2")}
        assert engine.stats.prompt_tokens <= 1024 + 3 * 9 + (num_steps == 3) * CHUNK


def test_it_can_be_switched_off() -> None:
    mix = [request(str(n), beginning_alike(CHUNK, 9, n), max_tokens=3) for n in range(3)]
    engine = new_engine(MODEL, prefix_cache=False)
    one_after_another(engine, mix)
    assert engine.stats.cached_prompt_tokens == engine.kv_tokens == 0
    assert engine.stats.prompt_tokens == 3 * (CHUNK + 9)


def test_models_of_nanochats_own_interface_have_none() -> None:
    engine = new_engine(SeedModel(MODEL))
    each = request("a", prompt_of(600, 1), max_tokens=2)
    first, again = one_after_another(engine, [each, each])
    assert first == again
    assert engine.stats.cached_prompt_tokens == engine.kv_tokens == engine.cached_kv_tokens == 0


# Memory.


def test_no_request_waits_for_memory_that_only_the_cache_holds() -> None:
    engine = new_engine(MODEL, kv_budget_tokens=4096)
    for n in range(9):
        one_after_another(engine, [request("a", prompt_of(1000, n), max_tokens=2)])
    assert 1024 < engine.cached_kv_tokens <= engine.kv_tokens <= 4096
    for n in range(16):
        engine.submit(request(str(n), [n], max_tokens=150))
    engine.step()
    assert engine.num_running_rows == 16
    while engine.has_work:
        engine.step()
        assert engine.kv_tokens <= 4096


def test_prompts_that_share_their_beginning_share_its_memory() -> None:
    if not IS_NATIVE:
        pytest.skip("in torch's way each has a copy")
    engine = new_engine(MODEL, kv_budget_tokens=1024 + 16 * 128)
    for n in range(16):
        engine.submit(request(str(n), beginning_alike(1024, 20, n), max_tokens=20))
    engine.step()
    engine.step()
    assert engine.num_running_rows == 16


def test_a_block_that_the_budget_counts_once_is_there_once() -> None:
    """Also where one request computes what is in the cache, to tell of its prompt, and holds on to
    blocks whose beginning then goes."""
    if not IS_NATIVE:
        pytest.skip("in torch's way each has a copy")
    budget = 24 * 64
    engine = new_engine(MODEL, kv_budget_tokens=budget, max_rows=3)
    one_after_another(engine, [request("a", prompt_of(576, 0)[:257], max_tokens=1)])

    def step_with(name: str, prompt: list[int], num_tokens: int, **params: Any) -> None:
        engine.submit(request(name, prompt, max_tokens=num_tokens, **params))
        for _ in range(4):
            engine.step()
            assert engine.kv_tokens <= budget

    step_with("telling", beginning_alike(576, 1, 0), 64, return_prompt_logprobs=True)
    step_with("large", prompt_of(12 * 64, 1), 1)
    step_with("one", beginning_alike(576, 1, 1), 64)
    step_with("other", beginning_alike(576, 1, 2), 64)
    engine.cancel("telling")
    step_with("last", prompt_of(10 * 64, 2), 64)
    assert engine.num_running_rows == 3


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    num_common: int
    num_own: int
    trunk: int
    seed: int
    num_samples: int
    is_telling: bool
    """Whether it asks for its prompt's log-probabilities, and so reads no block."""

    def request(self, name: str) -> Request:
        prompt = beginning_alike(self.num_common, self.num_own, self.seed, self.trunk)
        params = {"seed": self.seed, "return_prompt_logprobs": self.is_telling}
        return request(name, prompt, self.num_samples, max_tokens=5, **params)


@lru_cache(4096)
def rows_alone(asked: Asked) -> list[RowResult]:
    """Of a new engine that keeps nothing."""
    return run_all(MODEL, [asked.request("a")], max_rows=1, prefix_cache=False)["a"]


asked = st.builds(
    Asked,
    num_common=st.sampled_from([0, 1, 63, 64, 65, 128, 511, 512, 513, 576, 1024]),
    num_own=st.sampled_from([1, 2, 63, 64, 65, 128, 512]),
    trunk=st.integers(0, 1),
    seed=st.integers(0, 2),
    num_samples=st.integers(1, 5),
    is_telling=st.sampled_from([False, False, False, True]),
)
limits: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "kv_budget_tokens": st.sampled_from([2200, 3000, 5000, 200_000]),
        "max_rows": st.sampled_from([1, 3, 16]),
        "max_prefill_tokens": st.sampled_from([1, 600, 2048]),
    }
)


@settings(max_examples=40)
@given(
    limits=limits,
    arrivals=st.lists(st.tuples(st.integers(0, 12), asked), min_size=1, max_size=10),
    cancels=st.dictionaries(st.integers(1, 20), st.integers(0, 9), max_size=3),
    shortages=st.sets(st.integers(0, 30), max_size=2),
)
def test_every_row_is_that_of_a_new_engine_without_a_cache(
    limits: dict[str, Any],
    arrivals: list[tuple[int, Asked]],
    cancels: dict[int, int],
    shortages: set[int],
) -> None:
    """Whatever came before, comes with it and is cancelled, and whenever memory runs out; and
    nothing of the memory is lost, nor more of it held than the budget has."""
    scarce = Scarce(MODEL)
    engine = new_engine(scarce, **limits)
    scarce.fail_at(*shortages)
    waiting = sorted(enumerate(arrivals), key=lambda pair: pair[1][0])
    running: dict[str, Asked] = {}
    number = 0
    while waiting or engine.has_work:
        while waiting and waiting[0][1][0] <= number:
            name, (_, its) = waiting.pop(0)
            engine.submit(its.request(str(name)))
            running[str(name)] = its
        if number in cancels and engine.cancel(str(cancels[number])):
            del running[str(cancels[number])]
        for result in engine.step():
            its = running.pop(result.request_id)
            if result.error is None:
                assert result.rows == rows_alone(its)
            else:
                assert engine.stats.memory_shortages > 1, "alone, it is tried again"
        assert engine.cached_kv_tokens <= engine.kv_tokens
        is_alone = engine.stats.memory_shortages > 0 and len(running) > 0
        assert engine.kv_tokens <= engine.kv_budget_tokens or is_alone
        number += 1
    assert not running
    assert engine.kv_tokens == engine.cached_kv_tokens
    if not cancels and not engine.stats.memory_shortages:
        num_tokens = sum(its.num_common + its.num_own for _, its in arrivals)
        stats = engine.stats
        assert stats.prompt_tokens + stats.cached_prompt_tokens == num_tokens
