"""The promise where it is hardest to keep: rows are those of their request run alone.

The models are chaotic (see `ChaoticGPT`), so rows are equal only where all logits are, bit for bit.
`test_soak.py` searches for further cases; here are those that a search of small ones won't meet.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine import Engine, Request
from engine.models import demo_prompt, load_model
from tests.engine.models import SHAPES, SeedModel, random_model
from tests.engine.runs import Rows, SmallTokenizer, drain, new_engine, prompt_of, request, run_all
from vocab.tokenizer import Tokenizer

TOKENIZER = SmallTokenizer()


def all_alone(model: Any, mix: list[Request], tokenizer: Tokenizer | None = TOKENIZER) -> Rows:
    """Each request's rows, run one after the other, so that nothing shares the batch."""
    engine = new_engine(model, tokenizer, max_rows=1, prefix_cache=False)
    alone: Rows = {}
    for each in mix:
        engine.submit(each)
        alone |= drain(engine)
    return alone


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


@pytest.mark.parametrize("max_rows", (1, 3, 16, 64))
def test_rows_are_the_same_when_one_joins_as_others_leave(max_rows: int) -> None:
    """A row that leaves in the step in which others join lets them move at once."""
    model = random_model(is_chaotic=True)
    mix = [request(str(n), prompt_of(30 * n + 1, n), 3, max_tokens=2 + n % 2) for n in range(5)]
    engine = new_engine(model, TOKENIZER, max_rows=max_rows)
    assert joining(engine, mix, [0, 1, 2, 3, 4]) == all_alone(model, mix)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("interface", [lambda model: model, SeedModel], ids=["packed", "seed"])
def test_more_samples_leave_the_first_ones_as_they_are(
    interface: Any, shape: tuple[int, ...]
) -> None:
    """More than a tile of rows, and than a kernel's block of queries."""
    model = interface(random_model(*shape, is_chaotic=True))
    most = request("most", prompt_of(70, 1), 67, max_tokens=9)
    expected = run_all(model, [most], TOKENIZER, max_rows=1)["most"]
    for num_samples in (1, 2, 15, 16, 17, 33, 67):
        fewer = dataclasses.replace(most, num_samples=num_samples)
        rows = run_all(model, [fewer], TOKENIZER, max_rows=67)["most"]
        assert rows == expected[:num_samples]


@pytest.mark.parametrize("interface", [lambda model: model, SeedModel], ids=["packed", "seed"])
def test_rows_from_any_index_on_are_those_of_the_whole_request(interface: Any) -> None:
    """In waves and all at once, side by side and beside the whole."""
    model = interface(random_model(*SHAPES[1], is_chaotic=True))
    whole = request("whole", prompt_of(40, 2), 20, max_tokens=12)
    expected = run_all(model, [whole], TOKENIZER, max_rows=1)["whole"]
    spans = [(0, 20), (0, 1), (1, 1), (8, 8), (3, 17), (19, 1)]
    mix = [
        dataclasses.replace(whole, id=f"{first}+{number}", first_row=first, num_samples=number)
        for first, number in spans
    ]
    for max_rows in (3, 64):
        rows = run_all(model, mix, TOKENIZER, max_rows=max_rows)
        for each in mix:
            assert rows[each.id] == expected[each.first_row :][: each.num_samples]


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
    mix = [
        request(str(n), prompt_of(9 * n + 1, n), n, max_tokens=6, logprobs=n % 3 > 0)
        for n in range(1, 9)
    ]
    mix += [request("top", [1], 4, max_tokens=6, top_p=0.9), request("greedy", [2], temperature=0)]
    expected = all_alone(model, mix)
    for max_rows in (16, 64):
        assert run_all(model, mix, TOKENIZER, max_rows=max_rows) == expected


def mixed_controls(n: int) -> dict[str, Any]:
    """The n-th of as many settings as are wanted, of all controls and filters."""
    its: list[dict[str, Any]] = [
        {"repetition_penalty": 1.01 + n / 50},
        {"presence_penalty": n / 40 - 1, "frequency_penalty": 1 - n / 40},
        {"logit_bias": {token: (token - n) / 8 for token in range(n, n + 20)}},
        {"bad_words": [[n % 64], [n % 7, n % 5], "1"], "min_tokens": n % 12},
        {"stop": [str(n % 10), "+"], "stop_token_ids": [n % 64]},
        {"top_k": n + 1, "temperature": 0.5 + n / 20},
        {"top_p": 0.5 + n / 200},
        {"temperature": 0.0},
        {"min_p": n / 1000},
    ]
    mode = "processed" if n % 2 else "raw"
    merged: dict[str, Any] = {"logprobs": n % 4 < 3}
    if merged["logprobs"]:
        merged |= {"top_logprobs": n % 6, "logprobs_mode": mode}
    return merged | its[n % 9] | its[n // 3 % 9] | its[n // 7 % 9]


@pytest.mark.parametrize("vocab_size", [131, 5003])
@pytest.mark.parametrize("interface", [lambda model: model, SeedModel], ids=["packed", "seed"])
def test_rows_that_are_each_controlled_in_another_way_change_nothing(
    interface: Any, vocab_size: int
) -> None:
    model = interface(random_model(2, 2, 8, 1, vocab_size, is_chaotic=True))
    mix = [
        request(str(n), prompt_of(n + 1, n), n % 3 + 1, max_tokens=12, **mixed_controls(n))
        for n in range(40)
    ]
    expected = all_alone(model, mix)
    for max_rows in (7, 64):
        assert run_all(model, mix, TOKENIZER, max_rows=max_rows) == expected
    assert {row.finish_reason for rows in expected.values() for row in rows} == {"stop", "length"}


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
