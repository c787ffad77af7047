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

from engine.logprobs import token_logprobs
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
