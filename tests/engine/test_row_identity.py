"""The promise: a row depends on its model, prompt, parameters, seed and index, and nothing else.

The models are chaotic (see `ChaoticGPT`), so rows are equal only where all logits are, bit for bit.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import Engine, Request
from engine.models import demo_prompt, load_model
from engine.models.nanochat import GPT
from tests.engine.models import SHAPES, SeedModel, random_model
from tests.engine.runs import Rows, SmallTokenizer, drain, new_engine, prompt_of, request, run_all
from vocab.tokenizer import Tokenizer

MAX_ROWS = (1, 3, 16, 64)
TOKENIZER = SmallTokenizer()

# Lengths on both sides of every boundary of tiles and buckets, and any others.
lengths = st.sampled_from([1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 150]) | st.integers(1, 150)
temperatures = st.sampled_from([0.0, 0.5, 1.0, 3.0])


@st.composite
def requests(draw: st.DrawFn, name: str) -> Request:
    return request(
        name,
        prompt_of(draw(lengths), draw(st.integers(0, 2))),
        draw(st.integers(1, 9)),
        max_tokens=draw(st.integers(1, 12) | st.sampled_from([2, 64, 66])),
        temperature=draw(temperatures),
        top_k=draw(st.none() | st.integers(1, 80)),
        top_p=draw(st.none() | st.floats(0.05, 1.0)),
        min_p=draw(st.none() | st.floats(0.0, 0.3)),
        seed=draw(st.integers(0, 2) | st.just(2**64 - 1)),
    )


@st.composite
def mixes(draw: st.DrawFn) -> list[Request]:
    return [draw(requests(str(n))) for n in range(draw(st.integers(1, 5)))]


models = st.builds(
    lambda shape, seed: random_model(*shape, seed=seed, is_chaotic=True),
    st.sampled_from(SHAPES),
    st.integers(0, 3),
)


def all_alone(model: Any, mix: list[Request], tokenizer: Tokenizer | None = TOKENIZER) -> Rows:
    """Each request's rows, each run where nothing shares the batch."""
    runs = [run_all(model, [each], tokenizer, max_rows=1) for each in mix]
    return {name: rows for run in runs for name, rows in run.items()}


def joining(engine: Engine, mix: list[Request], steps: list[int]) -> Rows:
    """Submit each request when its step has come."""
    results: Rows = {}
    waiting = sorted(zip(steps, mix, strict=True), key=lambda pair: pair[0], reverse=True)
    step = 0
    while waiting or engine.has_work:
        while waiting and waiting[-1][0] <= step:
            engine.submit(waiting.pop()[1])
        results.update((result.request_id, result.rows) for result in engine.step())
        step += 1
    return results


@settings(max_examples=8)
@given(models, mixes(), st.randoms(use_true_random=False))
def test_rows_are_the_same_at_any_max_rows_and_in_any_order(
    model: GPT, mix: list[Request], random: Any
) -> None:
    expected = all_alone(model, mix)
    for max_rows in MAX_ROWS:
        random.shuffle(mix)
        assert run_all(model, mix, TOKENIZER, max_rows=max_rows) == expected


@settings(max_examples=8)
@given(models, mixes(), st.sampled_from(MAX_ROWS), st.data())
def test_rows_are_the_same_whenever_a_request_joins(
    model: GPT, mix: list[Request], max_rows: int, data: st.DataObject
) -> None:
    steps = [data.draw(st.integers(0, 20)) for _ in mix]
    engine = new_engine(model, TOKENIZER, max_rows=max_rows)
    assert joining(engine, mix, steps) == all_alone(model, mix)


@settings(max_examples=8)
@given(models, mixes(), mixes(), st.sampled_from(MAX_ROWS), st.data())
def test_rows_are_the_same_when_neighbours_are_cancelled(
    model: GPT, mix: list[Request], others: list[Request], max_rows: int, data: st.DataObject
) -> None:
    engine = new_engine(model, TOKENIZER, max_rows=max_rows)
    others = [dataclasses.replace(each, id=f"other {each.id}") for each in others]
    leaving = {each.id: data.draw(st.integers(0, 20), label=each.id) for each in others}
    for each in data.draw(st.permutations([*mix, *others])):
        engine.submit(each)
    results: Rows = {}
    for step in range(21):
        for name in [name for name, its in leaving.items() if its == step]:
            engine.cancel(name)
        results.update((result.request_id, result.rows) for result in engine.step())
    results.update(drain(engine))
    expected = all_alone(model, mix)
    assert {each.id: results[each.id] for each in mix} == expected


@pytest.mark.parametrize("max_rows", MAX_ROWS)
def test_rows_are_the_same_when_one_joins_as_others_leave(max_rows: int) -> None:
    """A row that leaves in the step in which others join lets them move at once."""
    model = random_model(is_chaotic=True)
    mix = [request(str(n), prompt_of(30 * n + 1, n), 3, max_tokens=2 + n % 2) for n in range(5)]
    engine = new_engine(model, TOKENIZER, max_rows=max_rows)
    assert joining(engine, mix, [0, 1, 2, 3, 4]) == all_alone(model, mix)


@settings(max_examples=8)
@given(
    models,
    mixes(),
    st.sampled_from(MAX_ROWS),
    st.integers(768, 4000),
    st.sampled_from([1, 100, 512, 2048]),
)
def test_memory_and_prefill_limits_change_no_row(
    model: GPT, mix: list[Request], max_rows: int, budget: int, max_prefill_tokens: int
) -> None:
    limits = {"kv_budget_tokens": budget, "max_prefill_tokens": max_prefill_tokens}
    assert run_all(model, mix, TOKENIZER, max_rows=max_rows, **limits) == all_alone(model, mix)


@settings(max_examples=8)
@given(models, requests("a"), st.integers(1, 20))
def test_more_samples_leave_the_first_ones_as_they_are(
    model: GPT, each: Request, num_more: int
) -> None:
    more = dataclasses.replace(each, num_samples=each.num_samples + num_more)
    rows = run_all(model, [more], TOKENIZER)["a"]
    assert rows[: each.num_samples] == run_all(model, [each], TOKENIZER)["a"]
    assert len(rows) == more.num_samples


@settings(max_examples=8)
@given(
    st.sampled_from(SHAPES),
    mixes(),
    st.sampled_from(MAX_ROWS),
    st.lists(st.integers(0, 20), min_size=5, max_size=5),
)
@example(SHAPES[1], [request(str(n), [n], 20 - n, max_tokens=5) for n in range(4)], 64, [0] * 5)
def test_rows_of_nanochats_own_interface_are_the_same_too(
    shape: tuple[int, ...], mix: list[Request], max_rows: int, steps: list[int]
) -> None:
    model = SeedModel(random_model(*shape, is_chaotic=True))
    engine = new_engine(model, TOKENIZER, max_rows=max_rows)
    assert joining(engine, mix, steps[: len(mix)]) == all_alone(model, mix)


def test_random_rows_end_early_and_call_the_tool() -> None:
    """Else the tests above would show little."""
    model = random_model(*SHAPES[0], is_chaotic=True)
    rows = run_all(model, [request("a", [9], 64, max_tokens=80)], TOKENIZER)["a"]
    assert len({len(row.tokens) for row in rows}) > 20
    assert sum(0 in row.masks for row in rows) > 3


@pytest.mark.parametrize("vocab_size", [5003, 8192])
def test_a_large_vocabulary_changes_nothing(vocab_size: int) -> None:
    """Large enough for torch to split elementwise work among threads."""
    model = random_model(2, 2, 8, 1, vocab_size, is_chaotic=True)
    mix = [request(str(n), prompt_of(9 * n + 1, n), n, max_tokens=6) for n in range(1, 9)]
    mix += [request("top", [1], 4, max_tokens=6, top_p=0.9), request("greedy", [2], temperature=0)]
    expected = all_alone(model, mix)
    for max_rows in (16, 64):
        assert run_all(model, mix, TOKENIZER, max_rows=max_rows) == expected


def test_long_prompts_and_long_rows_change_nothing() -> None:
    """Longer than a prefill chunk and than the kernel's block of 512 keys."""
    model = random_model(2, 1, 8, 1, sequence_len=1300, is_chaotic=True)
    lengths = [5, 513, 520, 600, 1023, 1024, 1025, 1100]
    mix = [request(str(n), prompt_of(n, n), 3, max_tokens=40) for n in lengths]
    mix.append(request("long", [1, 2], 2, max_tokens=600))
    expected = all_alone(model, mix, tokenizer=None)
    for max_prefill_tokens in (512, 2048):
        assert run_all(model, mix, max_prefill_tokens=max_prefill_tokens) == expected
    steps = [*range(0, 700, 80)]
    assert joining(new_engine(model, max_rows=8), mix[::-1], steps) == expected


def test_the_demo_models_rows_are_the_same() -> None:
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    mix = [
        request(str(n), demo_prompt(f"What is {n} * {n + 9}?", tokenizer), n % 5 + 1, temperature=3)
        for n in range(0, 400, 40)
    ]
    runs = [run_all(model, mix, tokenizer, max_rows=max_rows) for max_rows in (1, 16)]
    assert runs[0] == runs[1]


PROGRAM = """
import torch
torch.set_num_threads({num_threads})
from tests.engine.models import random_model
from tests.engine.runs import prompt_of, request, run_all
model = random_model(4, 2, 32, 2, 1003, is_chaotic=True)
mix = [request(str(n), prompt_of(n, n), 5, max_tokens=12) for n in (1, 64, 150)]
print(sorted(run_all(model, mix).items()))
"""


def test_rows_are_the_same_at_any_number_of_threads() -> None:
    """In processes of their own, as the number also changes what has been set up before."""
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM.format(num_threads=num_threads)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for num_threads in (1, 2)
    }
    assert len(outputs) == 1 and "RowResult" in outputs.pop()
