"""The prompt's log-probabilities are the model's own, whatever shares the batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from engine import Engine, Request
from tests.engine.models import SHAPES, ScriptedModel, SeedModel, naive_logits, random_model
from tests.engine.runs import new_engine, prompt_of, request
from tests.engine.scarce import Scarce

INTERFACES = [lambda model: model, SeedModel]
Prompts = dict[str, list[float] | None]


def told(engine: Engine, mix: Iterable[Request]) -> Prompts:
    for each in mix:
        engine.submit(each)
    results: Prompts = {}
    while engine.has_work:
        results.update((its.request_id, its.prompt_logprobs) for its in engine.step())
    return results


def asking(length: int, **params: Any) -> Request:
    fields = {"max_tokens": 3, "return_prompt_logprobs": True, **params}
    return request(str(length), prompt_of(length, length), 2, **fields)


@pytest.mark.parametrize("interface", INTERFACES, ids=["packed", "seed"])
def test_they_are_the_log_softmax_of_the_models_logits_from_the_second_token_on(
    interface: Any,
) -> None:
    """Prompts of less than a chunk and of more; controls and filters have no say."""
    model = random_model(*SHAPES[1], sequence_len=1300)
    mix = [asking(length) for length in (1, 2, 64, 65, 513, 1100)]
    mix.append(asking(30, temperature=0, repetition_penalty=3, bad_words=[[1]], top_k=1))
    found = told(new_engine(interface(model)), mix)
    for each in mix:
        logits_TV = naive_logits(model, each.prompt_tokens)[:-1]
        expected = logits_TV.log_softmax(-1)[range(len(logits_TV)), each.prompt_tokens[1:]]
        assert found[each.id] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("interface", INTERFACES, ids=["packed", "seed"])
def test_they_are_the_same_bits_in_company_and_after_a_shortage(interface: Any) -> None:
    model = interface(random_model(*SHAPES[1], sequence_len=1300, is_chaotic=True))
    mix = [asking(length, max_tokens=length % 9 + 1) for length in (1, 2, 70, 700, 1100)]
    mix += [request(f"silent {n}", prompt_of(n, n), 3, max_tokens=5) for n in (9, 520)]
    expected: Prompts = {}
    for each in mix:
        expected |= told(new_engine(model), [each])
    assert expected["silent 9"] is None
    for limits in ({}, {"max_rows": 2}, {"max_prefill_tokens": 300}):
        assert told(new_engine(model, **limits), mix) == expected
    scarce = Scarce(model)
    engine = new_engine(scarce, row_tile=1)
    scarce.fail_at(2, 5)
    assert told(engine, mix) == expected
    assert engine.stats.memory_shortages == 2


def test_asking_changes_no_row() -> None:
    model = random_model(*SHAPES[0], is_chaotic=True)
    rows = []
    for is_told in (False, True):
        engine = new_engine(model)
        engine.submit(request("a", prompt_of(90, 1), 3, return_prompt_logprobs=is_told))
        rows += [its.rows for _ in range(200) for its in engine.step()]
    assert rows[0] == rows[1]


def test_logits_are_made_of_one_such_chunk_at_a_time() -> None:
    """Else their memory would grow with the number of requests."""
    engine = new_engine(ScriptedModel(1, [3]))
    for number in range(3):
        engine.submit(request(str(number), [1] * 20, max_tokens=1, return_prompt_logprobs=True))
    for number in range(1, 4):
        engine.step()
        assert engine.stats.prompt_tokens == 20 * number
