"""A row that writes an expression gets its value forced back, and goes on in any case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine import RowResult
from engine.models import demo_prompt, load_model
from tests.engine.models import ScriptedModel
from tests.engine.runs import request, run_all
from vocab import ByteTokenizer
from vocab.tokenizer import Tokenizer

TOKENIZER = ByteTokenizer()
START, END, OUT, OUT_END, ASSISTANT_END, BOS = (
    TOKENIZER.encode_special(f"<|{name}|>")
    for name in ("python_start", "python_end", "output_start", "output_end", "assistant_end", "bos")
)
PROMPT = [BOS, *b"Hi"]
IGNORED = ord("#")
"""What the model says where the tool's tokens are forced."""


def run(
    script: Sequence[int | None], tokenizer: Tokenizer | None = TOKENIZER, **params: Any
) -> RowResult:
    """The row of a model that says the script's tokens; two more share the batch."""
    model = ScriptedModel(len(PROMPT), script)
    params = {"max_tokens": len(script), **params}
    rows = run_all(model, [request("a", PROMPT, 3, **params)], tokenizer)["a"]
    return rows[0]


def call(expression: bytes) -> list[int]:
    return [START, *expression, END]


def output(value: bytes) -> list[int]:
    return [OUT, *value, OUT_END]


def test_the_demo_model_calls_the_calculator_and_states_its_value() -> None:
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    prompt = demo_prompt("What is 37 * 48?", tokenizer)
    for row in run_all(model, [request("a", prompt, 4)], tokenizer)["a"]:
        begin, end = row.tokens.index(OUT), row.tokens.index(OUT_END)
        assert tokenizer.decode(row.tokens[begin:end]) == "1776"
        assert row.masks == [int(not begin <= n <= end) for n in range(len(row.tokens))]
        assert row.finish_reason == "stop" and row.tokens[-1] == ASSISTANT_END
        assert "1776" in tokenizer.decode(row.tokens[end:])


@pytest.mark.parametrize(
    ("expression", "value"),
    [(b"2+3", b"5"), (b"6/2", b"3.0"), (b"1,000*2", b"2000"), (b'"banana".count("a")', b"3")],
)
def test_a_value_is_forced_after_its_expression_with_mask_0(
    expression: bytes, value: bytes
) -> None:
    spoken, forced = call(expression), output(value)
    row = run([*spoken, *[IGNORED] * len(forced), *b"so", ASSISTANT_END])
    assert row.tokens == [*spoken, *forced, *b"so", ASSISTANT_END]
    assert row.masks == [1] * len(spoken) + [0] * len(forced) + [1] * 3
    assert row.finish_reason == "stop"


def test_a_row_may_call_again() -> None:
    script = [*call(b"1+1"), *[IGNORED] * 3, *call(b"2*9"), *[IGNORED] * 4, ASSISTANT_END]
    row = run(script)
    assert row.tokens == [
        *call(b"1+1"), *output(b"2"), *call(b"2*9"), *output(b"18"), ASSISTANT_END,
    ]  # fmt: skip
    assert row.masks == [1] * 5 + [0] * 3 + [1] * 5 + [0] * 4 + [1]


@pytest.mark.parametrize(
    "expression",
    [
        b"",
        b"2**9",
        b"x",
        b"().__class__",
        b"1/0",
        b"(" * 200 + b")" * 200,
        b"9" * 400,
        b"__import__('os').system('true')",
        b"\xff\xfe",
        bytes(range(256)),
    ],
)
def test_a_refused_expression_forces_nothing_and_the_row_goes_on(expression: bytes) -> None:
    script = [*call(expression), *b"well", ASSISTANT_END]
    row = run(script)
    assert (row.tokens, row.masks) == (script, [1] * len(script))


@pytest.mark.parametrize(
    ("script", "forced"),
    [
        ([END, *b"2+3", END], []),  # no start
        ([START, *b"2+3", 65], []),  # no end
        ([START, *b"9+9", *call(b"2+3"), *[IGNORED] * 3], output(b"5")),  # a new start
        ([START, OUT, OUT_END, END, 65], []),  # special tokens have no text
        ([*call(b"2+3"), *[IGNORED] * 3, END, 65, 65], [*output(b"5"), END, 65, 65]),
        ([*call(b"2+3"), ASSISTANT_END, BOS, START], output(b"5")),  # what it says is not heard
    ],
)
def test_only_a_whole_call_is_answered(script: list[int], forced: list[int]) -> None:
    row = run(script)
    assert row.tokens == [*script[: len(script) - len(forced)], *forced]
    assert row.finish_reason == "length"


def test_a_row_may_end_within_an_expression() -> None:
    row = run([START, *b"2+", ASSISTANT_END, *b"3", END])
    assert (row.tokens, row.finish_reason) == ([START, *b"2+", ASSISTANT_END], "stop")


def test_forced_tokens_count_toward_max_tokens() -> None:
    for max_tokens in range(5, 9):
        row = run([*call(b"7*7"), *[IGNORED] * 4], max_tokens=max_tokens)
        assert row.tokens == [*call(b"7*7"), *output(b"49")][:max_tokens]
        assert row.masks == [1] * 5 + [0] * (max_tokens - 5)
        assert row.finish_reason == "length"


def test_positions_with_forced_tokens_pass_over_their_random_numbers() -> None:
    """A model that finds all tokens as likely shows which number each position took."""
    row = run([*call(b"2+3"), None, None, None, None, None], seed=9)
    numbers = np.random.Generator(np.random.Philox(key=np.array([9, 0], np.uint64))).random(10)
    assert row.tokens[5:8] == output(b"5")
    assert row.tokens[8:] == (numbers[8:] * 265).astype(int).tolist()


@pytest.mark.parametrize(
    "tokenizer", [None, ByteTokenizer(("<|bos|>", "<|assistant_end|>", "<|python_start|>"))]
)
def test_without_a_tokenizer_or_its_tokens_there_is_no_tool(tokenizer: Tokenizer | None) -> None:
    script = [*call(b"2+3"), *b"nothing"]
    model = ScriptedModel(len(PROMPT), script, vocab_size=300)
    (row,) = run_all(model, [request("a", PROMPT, max_tokens=len(script))], tokenizer)["a"]
    assert (row.tokens, row.masks) == (script, [1] * len(script))


def test_rows_of_one_request_call_the_tool_each_on_its_own() -> None:
    """Where each row of a real model comes to another call, each gets its own value."""
    model, tokenizer = load_model("demo")
    assert tokenizer is not None
    prompt = demo_prompt("What is 12 + 30?", tokenizer)
    rows = run_all(model, [request("a", prompt, 32, temperature=6.0, max_tokens=60)], tokenizer)
    for row in rows["a"]:
        for n, (token, mask) in enumerate(zip(row.tokens, row.masks, strict=True)):
            if token == OUT and mask == 0:
                assert row.tokens[n - 1] == END
    assert len({tuple(row.masks) for row in rows["a"]}) > 1
