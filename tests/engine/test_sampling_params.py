"""Parameters out of range, of a wrong type or in conflict are refused by name."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from engine import RequestError, SamplingParams
from engine.generation_defaults import GenerationDefaults

NOT_NUMBERS: list[Any] = ["1", True, [1], math.nan, math.inf, -math.inf, 10**400]
NOT_INTEGERS: list[Any] = ["1", True, 1.0, [1], math.nan]
NOT_LISTS: list[Any] = ["text", 7, {1}, b"bytes"]
NOT_TOKENS: list[Any] = [-1, 2**31, True, "1", 1.0, None]

WRONG: dict[str, list[Any]] = {
    "max_tokens": [0, -1, 2**31, *NOT_INTEGERS],
    "min_tokens": [-1, 2**31, None, *NOT_INTEGERS],
    "temperature": [-0.1, 10_001, *NOT_NUMBERS],
    "top_k": [0, -1, 2**31, *NOT_INTEGERS],
    "top_p": [0, 0.0, 1.1, -1, *NOT_NUMBERS],
    "min_p": [-0.1, 1.1, *NOT_NUMBERS],
    "seed": [-1, 2**64, None, *NOT_INTEGERS],
    "stop": [[""], ["\ud800"], ["a" * 257], [1], [None], ["a"] * 65, *NOT_LISTS],
    "stop_token_ids": [[1] * 65, *([each] for each in NOT_TOKENS), *NOT_LISTS],
    "ignore_eos": [0, 1, None, "yes"],
    "repetition_penalty": [0, 0.0, -1, 10.1, *NOT_NUMBERS],
    "presence_penalty": [-2.1, 2.1, None, *NOT_NUMBERS],
    "frequency_penalty": [-2.1, 2.1, None, *NOT_NUMBERS],
    "logit_bias": [
        {0: 100.5},
        {0: -101},
        [(0, 1), (0, 2)],
        [(0,)],
        [0],
        {token: 1 for token in range(4097)},
        *({each: 1.0} for each in NOT_TOKENS),
        *([(0, each)] for each in NOT_NUMBERS),
        *NOT_LISTS,
    ],
    "bad_words": [
        [""],
        ["\ud800"],
        ["a" * 257],
        [[]],
        [[1] * 257],
        [7],
        ["a"] * 1025,
        *([[each]] for each in NOT_TOKENS),
        *NOT_LISTS,
    ],
    "logprobs": [0, 1, None, "yes"],
    "top_logprobs": [-1, 101, None, *NOT_INTEGERS],
    "logprobs_mode": ["", "Raw", None, 0, ["raw"]],
    "return_prompt_logprobs": [0, 1, None, "yes"],
    "json_schema": ["", "a" * (2**18 + 1), 7, {"a": {1}}],
    "regex": ["", "\ud800", "a" * (2**18 + 1), 7],
    "grammar": ["", "\ud800", "a" * (2**18 + 1), 7],
}

RIGHT: dict[str, list[Any]] = {
    "max_tokens": [None, 1, 2**31 - 1],
    "min_tokens": [0, 2**31 - 1],
    "temperature": [None, 0, 0.0, 1e-7, 10_000],
    "top_k": [None, 1, 2**31 - 1],
    "top_p": [None, 5e-324, 1, 1.0],
    "min_p": [None, 0, 1],
    "seed": [0, 2**64 - 1],
    "stop": [(), ["a" * 256], ["a"] * 64],
    "stop_token_ids": [(), [0, 2**31 - 1], [5] * 64],
    "ignore_eos": [False, True],
    "repetition_penalty": [None, 1e-9, 10],
    "presence_penalty": [-2, 2.0],
    "frequency_penalty": [-2, 2.0],
    "logit_bias": [{}, {0: -100, 2**31 - 1: 100.0}, {token: 1 for token in range(4096)}],
    "bad_words": [(), ["a" * 256, [1] * 256], [[0]] * 1024],
    "logprobs": [False, True],
    "top_logprobs": [0],
    "logprobs_mode": ["raw"],
    "return_prompt_logprobs": [False, True],
    "json_schema": [None, {}, "{}", {"type": "object"}],
    "regex": [None, "a" * 2**18],
    "grammar": [None, 'start: "a"'],
}


def test_every_parameter_is_tried() -> None:
    names = {field.name for field in dataclasses.fields(SamplingParams)}
    assert WRONG.keys() == RIGHT.keys() == names


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, its in WRONG.items() for value in its]
)
def test_what_is_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    others = {"logprobs": True} if field in ("top_logprobs", "logprobs_mode") else {}
    with pytest.raises(RequestError) as caught:
        SamplingParams(**{field: value, **others})
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, its in RIGHT.items() for value in its]
)
def test_the_limits_themselves_are_allowed(field: str, value: Any) -> None:
    SamplingParams(**{field: value})


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("min_tokens", {"max_tokens": 4, "min_tokens": 5}),
        ("top_logprobs", {"top_logprobs": 1}),
        ("logprobs_mode", {"logprobs_mode": "processed"}),
        ("regex", {"json_schema": {}, "regex": "a"}),
        ("grammar", {"json_schema": {}, "grammar": "a"}),
        ("grammar", {"regex": "a", "grammar": "a"}),
        ("min_tokens", {"regex": "a", "min_tokens": 1}),
        ("ignore_eos", {"grammar": "a", "ignore_eos": True}),
    ],
)
def test_parameters_in_conflict_are_refused(field: str, params: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        SamplingParams(**params)
    assert caught.value.field == field


def test_what_may_be_given_in_several_forms_is_kept_in_one() -> None:
    given = SamplingParams(
        logit_bias={9: 1, 3: -2.5},
        stop=["a"],
        bad_words=[[1, 2], "b"],
        json_schema={"b": 1, "a": 2},
    )
    same = SamplingParams(
        logit_bias=[(3, -2.5), (9, 1.0)],
        stop=("a",),
        bad_words=((1, 2), "b"),
        json_schema='{"b": 1, "a": 2}',
    )
    assert given == same and hash(given) == hash(same)


def test_a_models_defaults_stand_where_a_request_says_nothing() -> None:
    defaults = GenerationDefaults(temperature=0.6, top_k=20, repetition_penalty=1.1)
    filled = defaults.fill(SamplingParams(top_k=7, top_p=0.9))
    assert (filled.temperature, filled.top_k, filled.repetition_penalty) == (0.6, 7, 1.1)
    assert (filled.top_p, filled.min_p) == (0.9, None)
