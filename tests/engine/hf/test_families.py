"""Every family's rows are its own: what transformers generates, whatever shares the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine import Engine, EngineConfig, Request, RequestResult, SamplingParams
from engine.models import load_model
from tests.engine.hf.conftest import Checkpoint
from tests.engine.hf.families import FAMILIES, VOCAB_SIZE, reference

LENGTHS = (5, 17, 1, 9, 30)


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, VOCAB_SIZE, (n,), generator=generator).tolist() for n in LENGTHS]


def run(engine: Engine, requests: list[Request]) -> dict[str, RequestResult]:
    """The results of requests that arrive one step after the other."""
    results = []
    for request in requests:
        engine.submit(request)
        results += engine.step()
    while engine.has_work:
        results += engine.step()
    return {result.request_id: result for result in results}


def request(number: int, prompt: list[int], num_samples: int = 1, **fields: Any) -> Request:
    params = SamplingParams(max_tokens=8 + number, **fields)
    return Request(id=str(number), prompt_tokens=prompt, num_samples=num_samples, params=params)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_rows_are_those_of_transformers_token_for_token(
    checkpoint: Checkpoint, family: str
) -> None:
    model, _ = load_model(checkpoint(family))
    engine = Engine(model, None, EngineConfig(max_rows=3))  # so few that rows wait
    results = run(
        engine,
        [
            request(n, its, num_samples=1 + n % 2, temperature=0.0)
            for n, its in enumerate(prompts())
        ],
    )

    theirs = reference(checkpoint(family))
    for number, prompt in enumerate(prompts()):
        with torch.inference_mode():
            whole = theirs.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=8 + number,
                do_sample=False,
            )
        expected = whole[0, len(prompt) :].tolist()
        assert [row.tokens for row in results[str(number)].rows] == [expected] * (1 + number % 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_the_same_alone_and_in_company(checkpoint: Checkpoint, family: str) -> None:
    model, _ = load_model(checkpoint(family))
    asked = [request(n, its, num_samples=3, seed=n) for n, its in enumerate(prompts())]
    engine = Engine(model, None, EngineConfig(max_rows=7))
    together = run(engine, asked)
    if not engine.is_invariant:  # then it has said so, and promises nothing
        return
    alone = Engine(model, None, EngineConfig(max_rows=1))
    for its in asked:
        assert run(alone, [its])[its.id].rows == together[its.id].rows


def test_the_families_without_experts_need_no_measures(checkpoint: Checkpoint) -> None:
    """Their products are the engine's own, and so are invariant by construction."""
    for family in ("llama", "gpt2", "gemma"):
        model, _ = load_model(checkpoint(family))
        provenance = Engine(model, None).provenance
        assert provenance.reproducible
        if provenance.kernels != "torch":
            assert provenance.policy == "none"
