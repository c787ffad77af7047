"""The controls of sampling: jobs take what the engine takes, and refuse what it refuses."""

from __future__ import annotations

import dataclasses
import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.sampling_params
import jobs.sampling_fields
from engine import RequestError, SamplingParams
from jobs import GenerateJob, InvalidJobError, MsgpackSerializer
from jobs.generate_job import UINT64_MAX
from jobs.sampling_fields import SamplingFields

MOST = 2**31 - 1
SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {}}}
# Of every field: some values that are allowed, the ends of its range among them, and some that are
# not.
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "max_tokens": ([None, 1, MOST], [0, MOST + 1, 1.0, True, "1"]),
    "min_tokens": ([0, MOST], [None, -1, MOST + 1, 0.0, False]),
    "temperature": ([None, 0, 0.5, 10_000], [-1e-9, 10_000.1, True, "1", float("nan")]),
    "top_k": ([None, 1, MOST], [0, MOST + 1, 1.5]),
    "top_p": ([None, 1e-300, 1], [0, -1, 1.0000001]),
    "min_p": ([None, 0, 1], [-0.1, 1.1]),
    "seed": ([0, UINT64_MAX], [None, -1, 2**64, 1.0]),
    "stop": (
        [[], ["a"], ("\n", "é" * 256), ["a"] * 64],
        ["a", [""], ["a" * 257], ["a"] * 65, [1], None, {"a"}],
    ),
    "stop_token_ids": ([[], [0, MOST], [1] * 64], [[-1], [MOST + 1], [1] * 65, [1.0], [True], 1]),
    "ignore_eos": ([True, False], [None, 1, "yes"]),
    "repetition_penalty": ([None, 1e-9, 1, 10], [0, -1, 10.1]),
    "presence_penalty": ([-2, 0.0, 2], [None, -2.1, 2.1]),
    "frequency_penalty": ([-2, 0.0, 2], [None, -2.1, 2.1, float("inf")]),
    "logit_bias": (
        [{}, {0: -100, MOST: 100}, [(3, 1.5), (2, 0)], dict.fromkeys(range(4096), 1.0)],
        [
            {-1: 0},
            {MOST + 1: 0},
            {5: 100.1},
            {5: True},
            {"five": 1},
            {True: 1},
            {1.0: 1},
            [(5, 1), (5, 2)],
            [(5, 1, 2)],
            [5],
            5,
            None,
            dict.fromkeys(range(4097), 1.0),
        ],
    ),
    "bad_words": (
        [[], ["a", [0, MOST]], [[1] * 256] * 1024, ["é" * 256]],
        [[""], [[]], [[-1]], [[1.0]], [[1] * 257], ["a" * 257], ["a"] * 1025, [1], "a", None],
    ),
    "logprobs": ([True, False], [None, 1]),
    "top_logprobs": ([0, 100], [None, -1, 101, 1.0]),
    "logprobs_mode": (["raw", "processed"], [None, "both", 1]),
    "return_prompt_logprobs": ([True, False], [None, 1]),
    "json_schema": (
        [None, SCHEMA, json.dumps(SCHEMA), "x" * 2**18],
        ["", "x" * (2**18 + 1), 5, [], {"a": object()}, {"a": "x" * 2**18}],
    ),
    "regex": ([None, "a+", "x" * 2**18], ["", "x" * (2**18 + 1), 5]),
    "grammar": ([None, 'start: "a"'], ["", "x" * (2**18 + 1), 5]),
}
# What can't be given together, and the field that the error names.
CONFLICTS = [
    ("min_tokens", {"min_tokens": 6, "max_tokens": 5}),
    ("top_logprobs", {"top_logprobs": 1}),
    ("logprobs_mode", {"logprobs_mode": "processed"}),
    ("regex", {"json_schema": SCHEMA, "regex": "a"}),
    ("grammar", {"json_schema": SCHEMA, "grammar": "a"}),
    ("grammar", {"regex": "a", "grammar": "a"}),
    ("min_tokens", {"json_schema": SCHEMA, "min_tokens": 1}),
    ("ignore_eos", {"grammar": "a", "ignore_eos": True}),
]
# Beside which a value stands alone.
COMPANY: dict[str, dict[str, Any]] = {
    "top_logprobs": {"logprobs": True},
    "logprobs_mode": {"logprobs": True},
}
ALLOWED = [(name, value) for name, (allowed, _) in VALUES.items() for value in allowed]
REFUSED = [(name, value) for name, (_, refused) in VALUES.items() for value in refused]


def job_of(**fields: Any) -> GenerateJob:
    return GenerateJob(prompt_tokens=(1,), **fields)


def short(value: object) -> str:
    return repr(value)[:20]


def test_the_names_and_defaults_are_the_engines() -> None:
    params = SamplingParams()
    names = [field.name for field in dataclasses.fields(SamplingParams)]
    assert sorted([*SamplingFields.model_fields, "seed"]) == sorted(names) == sorted(VALUES)
    for name in names:
        assert getattr(job_of(), name) == getattr(params, name), name


def test_the_limits_are_the_engines() -> None:
    limits = {
        name: value for name, value in vars(jobs.sampling_fields).items() if name.startswith("MAX_")
    }
    theirs = {name: getattr(engine.sampling_params, name) for name in limits}
    assert len(limits) == 12
    assert limits == theirs


@pytest.mark.parametrize(("name", "value"), ALLOWED, ids=short)
def test_an_allowed_value_is_kept_as_the_engine_keeps_it(name: str, value: Any) -> None:
    fields = {**COMPANY.get(name, {}), name: value}
    kept = getattr(job_of(**fields), name)
    assert kept == getattr(SamplingParams(**fields), name)
    assert isinstance(kept, type(getattr(SamplingParams(**fields), name)) | float)


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=short)
def test_a_bad_value_is_refused_by_both_by_its_name(name: str, value: Any) -> None:
    fields = {**COMPANY.get(name, {}), name: value}
    with pytest.raises(InvalidJobError) as caught:
        job_of(**fields)
    assert caught.value.field == name
    assert len(str(caught.value)) < 400
    with pytest.raises(RequestError) as refused:
        SamplingParams(**fields)
    assert refused.value.field == name


@pytest.mark.parametrize(("name", "fields"), CONFLICTS)
def test_a_conflict_is_refused_by_both_by_the_same_name(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError) as caught:
        job_of(**fields)
    with pytest.raises(RequestError) as refused:
        SamplingParams(**fields)
    assert caught.value.field == refused.value.field == name


def test_a_conflict_says_what_to_change() -> None:
    with pytest.raises(InvalidJobError, match=r"min_tokens: 6 .* at most max_tokens, 5"):
        job_of(min_tokens=6, max_tokens=5)
    with pytest.raises(InvalidJobError, match=r"top_logprobs: 2 .* it must be 0 without logprobs"):
        job_of(top_logprobs=2)
    with pytest.raises(InvalidJobError, match=r"regex: 'a' .* it must be None beside json_schema"):
        job_of(json_schema=SCHEMA, regex="a")
    with pytest.raises(InvalidJobError, match="logit_bias: token 7 twice"):
        job_of(logit_bias={"7": 1, 7: 2})


some_fields = st.dictionaries(st.sampled_from(sorted(VALUES)), st.just(None), max_size=6).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.sampled_from(VALUES[name][0][:3] + VALUES[name][1][:1]) for name in names}
    )
)


@given(some_fields)
def test_any_fields_are_taken_by_both_or_by_neither(fields: dict[str, Any]) -> None:
    try:
        params = SamplingParams(**fields)
    except RequestError:
        with pytest.raises(InvalidJobError):
            job_of(**fields)
        return
    job = job_of(**fields)
    assert {name: getattr(job, name) for name in VALUES} == dataclasses.asdict(params)


@pytest.mark.parametrize(("name", "value"), ALLOWED, ids=short)
def test_every_value_comes_through_the_wire_as_it_was(name: str, value: Any) -> None:
    job = job_of(**{**COMPANY.get(name, {}), name: value})
    assert GenerateJob.parse(MsgpackSerializer.loads(MsgpackSerializer.dumps(job.fields()))) == job


def test_json_has_the_tokens_of_biases_as_strings() -> None:
    job = job_of(logit_bias={50: 1, 7: -2.5})
    assert job.logit_bias == ((7, -2.5), (50, 1.0))
    assert job_of(logit_bias=json.loads('{"50": 1, "7": -2.5}')) == job


def test_a_schema_is_text_in_its_own_order() -> None:
    schema = job_of(json_schema=SCHEMA).json_schema
    assert schema is not None
    assert list(json.loads(schema)["properties"]) == ["b", "a"]


def test_arrays_of_integers_are_tokens() -> None:
    job = job_of(stop_token_ids=array("H", [3, 4]), bad_words=[array("H", [5, 6])])
    assert job.stop_token_ids == (3, 4)
    assert job.bad_words == ((5, 6),)
