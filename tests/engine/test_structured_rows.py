"""Rows that are held to a structure, in the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Request, RequestError, RequestResult, SamplingParams
from engine.models import DEMO, demo_prompt, load_model
from tests.engine.runs import Rows, drain, new_engine, run_all
from tests.engine.scarce import OUT_OF_MEMORY, Scarce
from vocab.special import ASSISTANT_END

pytest.importorskip("llguidance")

MODEL, TOKENIZER = load_model(DEMO)
assert TOKENIZER is not None
ENDS = (TOKENIZER.encode_special(ASSISTANT_END), TOKENIZER.get_bos_token_id())
PROMPT = demo_prompt("What is 3 + 4?", TOKENIZER)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "value": {"type": "integer", "minimum": -9, "maximum": 999},
        "unit": {"enum": ["m", "kg"]},
    },
    "required": ["value", "unit"],
    "additionalProperties": False,
}
STRUCTURES: list[dict[str, Any]] = [
    {"json_schema": SCHEMA},
    {"regex": r"[0-9]{3}-[a-c]{1,4}"},
    {"grammar": 'start: "(" start ")" | "x"'},
    {},
    {"top_k": 3, "presence_penalty": 1.0, "stop": ["3"]},
]


def asked(name: str, num_samples: int = 3, seed: int = 1, **fields: Any) -> Request:
    params = SamplingParams(**{"max_tokens": 60, "seed": seed, "temperature": 1.5} | fields)
    return Request(id=name, prompt_tokens=PROMPT, num_samples=num_samples, params=params)


def texts(result: RequestResult) -> list[str]:
    """Of the rows that ended by themselves, without the token that ended them."""
    assert result.error is None
    ended = [row for row in result.rows if row.finish_reason == "stop"]
    assert all(row.tokens[-1] in ENDS for row in ended)
    told = [row.text for row in ended if row.text is not None]
    assert told == [TOKENIZER.decode(row.tokens[:-1]) for row in ended]
    return told


def test_rows_are_json_of_their_schema_and_end_by_themselves() -> None:
    schema = SCHEMA | {"x-guidance": {"whitespace_pattern": " "}}
    results = run_whole([asked("a", 32, json_schema=schema)])
    found = texts(results["a"])
    assert len(found) > 24
    for text in found:
        value = json.loads(text)
        assert list(value) == ["value", "unit"]
        assert type(value["value"]) is int and value["unit"] in ("m", "kg")


def test_rows_match_their_expression() -> None:
    found = texts(run_whole([asked("a", 32, regex="[0-9]{3}-[a-c]{1,4}")])["a"])
    assert len(found) == 32 and len(set(found)) > 8
    assert all(re.fullmatch("[0-9]{3}-[a-c]{1,4}", text) for text in found)


def test_greedy_rows_take_the_likeliest_token_that_is_allowed() -> None:
    (row,) = run_whole([asked("a", 1, regex="yes|no", temperature=0.0)])["a"].rows
    assert TOKENIZER.decode(row.tokens[:-1]) in ("yes", "no") and row.finish_reason == "stop"


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.integers(0, len(STRUCTURES) - 1), min_size=1, max_size=6),
    max_rows=st.sampled_from([1, 3, 16]),
)
def test_structured_rows_do_not_depend_on_their_company(kinds: list[int], max_rows: int) -> None:
    mix = [asked(str(n), 2, n, **STRUCTURES[kind]) for n, kind in enumerate(kinds)]
    together = rows_of(mix, max_rows)
    for each in mix:
        assert rows_of([each], 1)[each.id] == together[each.id]


ENGINE_OF = lru_cache(None)(lambda max_rows: new_engine(MODEL, TOKENIZER, max_rows=max_rows))


def rows_of(mix: Sequence[Request], max_rows: int) -> Rows:
    for each in mix:
        ENGINE_OF(max_rows).submit(each)
    return drain(ENGINE_OF(max_rows))


def test_processed_logprobs_are_those_among_the_allowed_tokens() -> None:
    fields = {"regex": "a", "logprobs": True, "logprobs_mode": "processed"}
    (row,) = run_whole([asked("a", 1, **fields)])["a"].rows
    assert row.logprobs is not None and row.logprobs[0] == 0.0, "it had no other choice"


def test_a_structure_that_gets_too_complex_fails_its_own_request_only() -> None:
    many = " | ".join(f'"a{number:04d}x"' for number in range(4000))
    results = run_whole([asked("a", grammar=f"start: {many}"), asked("b", regex="[0-9]+")])
    assert results["b"].error is None
    error = results["a"].error
    assert error is not None and error.startswith("row 0, position 1: grammar: ")


def test_an_engine_without_a_tokenizer_refuses_structures() -> None:
    with pytest.raises(RequestError, match=r"^regex: needs a model with a tokenizer"):
        new_engine(MODEL).submit(asked("a", regex="a"))


@pytest.mark.parametrize("fields", STRUCTURES[:3])
def test_rows_that_start_over_follow_their_structure_anew(fields: dict[str, Any]) -> None:
    each = asked("a", **fields)
    quiet = run_all(MODEL, [each], TOKENIZER)
    scarce = Scarce(MODEL, OUT_OF_MEMORY["a device"])
    engine = new_engine(scarce, TOKENIZER)
    engine.submit(each)
    scarce.fail_at(1)
    assert drain(engine) == quiet and engine.stats.restarted_rows


def run_whole(mix: Sequence[Request]) -> dict[str, RequestResult]:
    engine = new_engine(MODEL, TOKENIZER)
    for each in mix:
        engine.submit(each)
    results: dict[str, RequestResult] = {}
    while engine.has_work:
        results |= {result.request_id: result for result in engine.step()}
    return results
