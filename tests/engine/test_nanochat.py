"""The engine's model is nanochat's GPT."""

from __future__ import annotations

import pytest
import torch

from engine.models import demo_prompt, load_model
from engine.models.nanochat import GPT
from tests.engine.models import SHAPES, SeedModel, naive_logits, random_model
from tests.engine.runs import prompt_of, request, run_all

# Around the boundaries of a chunk, of a tile of keys and of a bucket.
LENGTHS = [1, 2, 15, 63, 64, 65, 128, 129, 200]


def assert_greedy(model: GPT, prompt: list[int], tokens: list[int], masks: list[int]) -> None:
    """Each sampled token is the naive reference's, after the prompt and the tokens before it.

    As each is checked after those before it, naive generation would give the same sequence.
    """
    expected = naive_logits(model, prompt + tokens)[len(prompt) - 1 : -1].argmax(-1)
    sampled = [(t, e) for t, e, mask in zip(tokens, expected.tolist(), masks, strict=True) if mask]
    assert [token for token, _ in sampled] == [token for _, token in sampled]


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_rows_are_those_of_naive_generation(shape: tuple[int, ...]) -> None:
    model = random_model(*shape)
    requests = [request(str(n), prompt_of(n, n), temperature=0, max_tokens=40) for n in LENGTHS]
    results = run_all(model, requests)
    for each in requests:
        (row,) = results[each.id]
        assert len(row.tokens) == 40
        assert_greedy(model, list(each.prompt_tokens), row.tokens, row.masks)


def test_greedy_rows_past_the_prefill_chunk_are_those_of_naive_generation() -> None:
    model = random_model(2, 1, 8, 1, sequence_len=1100)
    for length in (511, 512, 513, 1040):
        prompt = prompt_of(length, 5)
        (row,) = run_all(model, [request("a", prompt, temperature=0, max_tokens=8)])["a"]
        assert_greedy(model, prompt, row.tokens, row.masks)


def test_the_demo_model_answers_as_naive_generation_does() -> None:
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    questions = ["What is 37 * 48?", "What is 5 + 6?", "What is 901 - 17?"]
    requests = [request(q, demo_prompt(q, tokenizer), temperature=0) for q in questions]
    results = run_all(model, requests, tokenizer)
    for each in requests:
        (row,) = results[each.id]
        assert row.finish_reason == "stop"
        assert_greedy(model, list(each.prompt_tokens), row.tokens, row.masks)


@pytest.mark.parametrize("shape", SHAPES)
def test_nanochats_own_interface_gives_the_same_greedy_rows(shape: tuple[int, ...]) -> None:
    model = random_model(*shape, seed=1)
    requests = [request(str(n), prompt_of(n, n), temperature=0, max_tokens=20) for n in LENGTHS]
    assert run_all(SeedModel(model), requests) == run_all(model, requests)


def test_the_reference_and_nanochats_own_interface_agree() -> None:
    for shape in SHAPES:
        model = random_model(*shape)
        tokens = prompt_of(50, 1)
        logits = SeedModel(model).forward(torch.tensor([tokens]))[0].double()
        torch.testing.assert_close(logits, naive_logits(model, tokens), atol=1e-3, rtol=0)


def test_random_models_say_different_things() -> None:
    """Else the tests above would show little."""
    for shape in SHAPES:
        model = random_model(*shape)
        (row,) = run_all(model, [request("a", [1], max_tokens=60)])["a"]
        assert len(set(row.tokens)) > 15
