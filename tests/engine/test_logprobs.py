"""Log-probabilities are the model's own, of each token that a row took, and change none.

That they are the same in company is shown where rows are: test_soak.py, test_row_identity.py and
test_out_of_memory.py ask for them too.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from engine.logprobs import drawn_logprobs, raw_logprobs, token_logprobs
from engine.models import demo_prompt, load_model
from tests.engine.models import ScriptedModel, SeedModel, naive_logits
from tests.engine.runs import request, run_all

LOWEST = -3.4028234663852886e38


@pytest.mark.parametrize("interface", [lambda model: model, SeedModel], ids=["packed", "seed"])
def test_they_are_the_log_softmax_of_the_raw_logits_however_rows_are_sampled(
    interface: Any,
) -> None:
    """Rows that ask, and rows that don't, in one batch; some call the tool."""
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    prompt = demo_prompt("What is 37 * 48?", tokenizer)
    ways: list[dict[str, float]] = [
        {"temperature": 0.0},
        {"temperature": 3.0},
        {"temperature": 2.0, "top_k": 9, "top_p": 0.9, "min_p": 0.01},
    ]
    asking = [
        request(f"{n}", prompt, 4, max_tokens=50, logprobs=True, **way)
        for n, way in enumerate(ways)
    ]
    silent = [request(f"{n} silent", prompt, 4, max_tokens=50, **way) for n, way in enumerate(ways)]
    rows = run_all(interface(model), [*asking, *silent], tokenizer, max_rows=15)
    for asked in asking:
        for row, other in zip(rows[asked.id], rows[f"{asked.id} silent"], strict=True):
            assert other == dataclasses.replace(row, logprobs=None)
            logits_TV = naive_logits(model, [*prompt, *row.tokens])[len(prompt) - 1 : -1]
            expected_T = logits_TV.log_softmax(-1)[range(len(row.tokens)), row.tokens]
            assert row.logprobs == pytest.approx(expected_T.tolist(), abs=1e-4)
    assert any(0 in row.masks for its in asking for row in rows[its.id]), "some call the tool"


def test_a_row_that_ends_with_an_error_has_one_for_each_of_its_tokens() -> None:
    model = ScriptedModel(1, [None, None, [math.nan] * 256], vocab_size=256)
    mix = [request("asks", [1], 2, max_tokens=9, logprobs=True), request("silent", [1], 2)]
    rows = run_all(model, mix)
    for row in rows["asks"]:
        assert (row.finish_reason, len(row.tokens)) == ("error", 2)
        assert row.logprobs == pytest.approx([-math.log(256)] * 2, rel=1e-6)
    assert [row.logprobs for row in rows["silent"]] == [None, None]


@pytest.mark.parametrize("vocab_size", [1, 2, 15, 16, 17, 265, 5003])
def test_a_row_alone_has_the_bits_that_it_has_in_company(vocab_size: int) -> None:
    logits_RV = torch.randn(67, vocab_size, generator=torch.Generator().manual_seed(vocab_size)) * 4
    tokens = [row % vocab_size for row in range(67)]
    together = token_logprobs(logits_RV, tokens)
    expected = logits_RV.double().log_softmax(-1)[range(67), tokens]
    assert together == pytest.approx(expected.tolist(), abs=1e-5)
    for first, end in ((0, 1), (66, 67), (3, 5), (20, 37), (1, 67)):
        assert token_logprobs(logits_RV[first:end], tokens[first:end]) == together[first:end]


def test_they_are_finite_and_at_most_0_for_logits_of_any_size() -> None:
    logits_RV = torch.tensor(
        [
            [0.0, -math.inf, -math.inf],
            [3e38, -3e38, 0.0],
            [-math.inf, -3e38, -math.inf],
            [1000.0, 999.0, -1000.0],
        ]
    )
    assert token_logprobs(logits_RV, [0, 0, 1, 0])[:3] == [0.0, 0.0, 0.0]
    assert token_logprobs(logits_RV, [1, 1, 0, 2])[:3] == [LOWEST] * 3
    assert token_logprobs(logits_RV, [0, 0, 1, 1])[3] == pytest.approx(-1.3132617, abs=1e-6)


@pytest.mark.parametrize("interface", [lambda model: model, SeedModel], ids=["packed", "seed"])
def test_processed_ones_are_those_of_the_distribution_that_was_drawn_from(interface: Any) -> None:
    """Beside rows that want raw ones, and greedy ones; forced tokens get theirs too."""
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    prompt = demo_prompt("What is 37 * 48?", tokenizer)
    ways: list[dict[str, Any]] = [
        {"temperature": 2.0, "top_k": 9},
        {"temperature": 0.0},
        {"temperature": 3.0, "min_p": 0.2},
        {"top_p": 0.5, "logprobs_mode": "raw"},
    ]
    asking = [
        request(
            str(n), prompt, 4, max_tokens=40,
            **{"logprobs": True, "top_logprobs": 12, "logprobs_mode": "processed", **way},
        )
        for n, way in enumerate(ways)
    ]  # fmt: skip
    rows = run_all(interface(model), asking, tokenizer, max_rows=15)
    for asked, way in zip(asking, ways, strict=True):
        for row in rows[asked.id]:
            logits_TV = naive_logits(model, [*prompt, *row.tokens])[len(prompt) - 1 : -1]
            expected_TV = processed(logits_TV, way)
            assert row.logprobs is not None and row.top_tokens is not None
            for position, (token, logprob) in enumerate(zip(row.tokens, row.logprobs, strict=True)):
                expected_V = expected_TV[position].clamp(min=LOWEST)
                assert logprob == pytest.approx(float(expected_V[token]), abs=1e-3)
                tops = row.top_tokens[12 * position :][:12]
                assert len({*tops}) == 12
                its = (row.top_logprobs or [])[12 * position :][:12]
                assert its == sorted(its, reverse=True)
                assert its == pytest.approx(expected_V[tops].tolist(), abs=1e-3)
                assert its == pytest.approx(expected_V.topk(12).values.tolist(), abs=1e-3)
    assert any(0 in row.masks for its in asking for row in rows[its.id]), "some call the tool"


def processed(logits_TV: torch.Tensor, way: dict[str, Any]) -> torch.Tensor:
    if way.get("logprobs_mode") == "raw":
        return logits_TV.log_softmax(-1)
    if way.get("temperature") == 0:
        highest = logits_TV.amax(-1, keepdim=True)
        return torch.where(logits_TV == highest, 0.0, -torch.inf)
    if "top_k" in way:
        floor = logits_TV.topk(way["top_k"]).values[:, -1:]
        logits_TV = logits_TV.masked_fill(logits_TV < floor, -torch.inf)
    logits_TV = logits_TV / way["temperature"]
    weights_TV = (logits_TV - logits_TV.amax(-1, keepdim=True)).exp()
    return logits_TV.masked_fill(weights_TV < way.get("min_p", 0), -torch.inf).log_softmax(-1)


@pytest.mark.parametrize("vocab_size", [1, 3, 16, 17, 265, 5003])
def test_the_likeliest_tokens_come_in_order_the_lowest_id_first_on_ties(vocab_size: int) -> None:
    generator = torch.Generator().manual_seed(vocab_size)
    scores_RV = torch.randint(-20, 20, (33, vocab_size), generator=generator) / 4
    for num_top in {1, min(3, vocab_size), min(100, vocab_size)}:
        found = raw_logprobs(scores_RV, [0] * 33, num_top)
        for row, scores in zip(found, scores_RV.tolist(), strict=True):
            ordered = sorted(range(vocab_size), key=lambda token: (-scores[token], token))
            assert row.top_tokens == ordered[:num_top]
        assert raw_logprobs(scores_RV[5:6], [0], num_top) == found[5:6]


def test_processed_ones_are_rounded_from_float64_and_finite() -> None:
    weights_RV = torch.tensor([[1.0, 0.0, 0.5], [0.25, 1.0, 0.0]])
    first, second = drawn_logprobs(weights_RV, [1.5, 1.25], [2, 2], 3)
    assert first.token == torch.tensor(math.log(1 / 3)).item() and first.top_tokens == [0, 2, 1]
    assert second == (LOWEST, [1, 0, 2], [*second.top_logprobs[:2], LOWEST])
