"""Jobs with controls of sampling: through queue and worker, the rows that the engine gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine import Engine, Request, RequestResult, SamplingParams
from engine.models import load_model
from jobs import Client, GenerateJob, SampledRows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import question

CONTROLS: dict[str, dict[str, Any]] = {
    "stop strings": {"stop": [" =", "7"]},
    "stop tokens": {"stop_token_ids": [ord("4"), ord("5")]},
    "no end of the model's": {"ignore_eos": True, "max_tokens": 30},
    "a least length": {"min_tokens": 25, "stop": ["1", "2", "3"], "max_tokens": 40},
    "penalties": {
        "repetition_penalty": 1.25,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.75,
        "temperature": 1.5,
    },
    "biases": {"logit_bias": {ord("1"): -100, ord("2"): 4.5}},
    "bad words": {"bad_words": ["8", [ord("3"), ord("7")]]},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "processed logprobs": {
        "logprobs": True,
        "top_logprobs": 2,
        "logprobs_mode": "processed",
        "top_k": 5,
        "temperature": 2.0,
    },
    "logprobs of the prompt": {"return_prompt_logprobs": True, "logprobs": True},
    "a schema": {
        "json_schema": {
            "type": "object",
            "properties": {"a": {"enum": [1, 22]}},
            "required": ["a"],
        },
        "logprobs": True,
        "logprobs_mode": "processed",
    },
    "an expression": {"regex": "[0-9]{2,4}!"},
    "a grammar": {"grammar": 'start: "<" start ">" | "-"'},
    "all at once": {
        "stop": ["="],
        "min_tokens": 2,
        "logit_bias": {ord("2"): 1.5},
        "bad_words": ["9"],
        "frequency_penalty": 0.25,
        "logprobs": True,
        "top_logprobs": 4,
        "return_prompt_logprobs": True,
    },
}


def job_with(number: int, controls: dict[str, Any]) -> GenerateJob:
    text = f"What is {7 + number} * {48 - number}?"
    return question(text, num_samples=3, seed=number, **{"max_tokens": 24, **controls})


JOBS = {name: job_with(number, its) for number, (name, its) in enumerate(CONTROLS.items())}


@pytest.fixture(scope="module")
def engine_s() -> dict[str, RequestResult]:
    """Of requests that are made by hand, one after the other."""
    results = {}
    model, tokenizer = load_model("demo")
    for number, (name, controls) in enumerate(CONTROLS.items()):
        params = SamplingParams(**{"max_tokens": 24, "seed": number, **controls})
        engine = Engine(model, tokenizer)
        prompt = JOBS[name].prompt_tokens
        engine.submit(Request(id=name, prompt_tokens=prompt, num_samples=3, params=params))
        while engine.has_work:
            results |= {its.request_id: its for its in engine.step()}
    return results


def test_rows_are_the_engine_s_with_all_that_goes_with_them(
    client: Client, start_worker: StartWorker, engine_s: dict[str, RequestResult]
) -> None:
    start_worker()
    job_ids = client.submit_many(JOBS.values())
    outcomes = dict(client.results(job_ids, timeout=60))
    for name, job_id in zip(JOBS, job_ids, strict=True):
        result, wanted = outcomes[job_id], engine_s[name]
        assert isinstance(result, SampledRows), (name, result)
        assert [row.model_dump(mode="json") for row in result.rows] == [
            dataclasses.asdict(row) for row in wanted.rows
        ], name
        prompt_logprobs = wanted.prompt_logprobs
        assert result.prompt_logprobs == (prompt_logprobs and tuple(prompt_logprobs)), name


def test_results_have_what_was_asked_for_and_nothing_more(
    engine_s: dict[str, RequestResult],
) -> None:
    for name, job in JOBS.items():
        result = engine_s[name]
        assert (result.prompt_logprobs is not None) == job.return_prompt_logprobs, name
        for row in result.rows:
            is_structured = (job.json_schema or job.regex or job.grammar) is not None
            assert (row.text is not None) == (bool(job.stop) or is_structured), name
            assert len(row.top_tokens or ()) == job.top_logprobs * len(row.tokens), name
            assert (row.logprobs is not None) == job.logprobs, name
