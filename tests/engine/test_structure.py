"""Structured output: what a structure allows, and which ones are refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import RequestError, SamplingParams
from engine.controls.structure import RowStructure, Structure, Structures, allowed_tokens
from vocab.byte import ByteTokenizer
from vocab.hf import HFTokenizer
from vocab.special import ASSISTANT_END, BOS, SPECIAL_TOKENS
from vocab.tokenizer import Tokenizer

pytest.importorskip("llguidance")

TOKENIZER = ByteTokenizer()
ENDS = frozenset({TOKENIZER.encode_special(ASSISTANT_END), TOKENIZER.encode_special(BOS)})
VOCAB_SIZE = 272  # more than the tokenizer has, as a padded embedding


def new_structures(
    tokenizer: Tokenizer | None = TOKENIZER, vocab_size: int | None = VOCAB_SIZE
) -> Structures:
    return Structures(tokenizer, vocab_size, ENDS)


STRUCTURES = new_structures()


def compiled(structures: Structures = STRUCTURES, **fields: Any) -> Structure:
    structure = structures.compile(SamplingParams(**fields))
    assert structure is not None
    return structure


def walk(structure: Structure, choices: list[int], most: int = 400) -> str | None:
    """The text of a row that takes the allowed token of each choice; None where it never ends."""
    row, tokens = structure.new_row(), list[int]()
    for position in range(most):
        allowed = allowed_tokens([row])[0].nonzero().flatten().tolist()
        assert allowed, row.error
        token = allowed[choices[position % len(choices)] % len(allowed)]
        if token in ENDS:
            return TOKENIZER.decode(tokens)
        tokens.append(token)
        row.observe(token)
    return None


CHOICES = st.lists(st.integers(0, 255), min_size=1, max_size=60)
REGEXES = [r"[0-9]{3}-[a-c]+", r"(yes|no)", r"-?[1-9][0-9]*\.[0-9]{2}", r"h\u00e9(llo)? w.{1,3}"]


@settings(max_examples=60, deadline=None)
@given(regex=st.sampled_from(REGEXES), choices=CHOICES)
def test_whatever_is_drawn_a_row_matches_its_expression(regex: str, choices: list[int]) -> None:
    text = walk(compiled(regex=regex), choices)
    assert text is None or re.fullmatch(regex, text, re.DOTALL)


SCHEMA = {
    "type": "object",
    "properties": {
        "b": {"type": "integer", "minimum": 0, "maximum": 20},
        "a": {"enum": ["x", "y\u00e9"]},
        "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["b", "a"],
    "additionalProperties": False,
}


@settings(max_examples=60, deadline=None)
@given(choices=CHOICES)
def test_whatever_is_drawn_a_row_is_json_of_its_schema(choices: list[int]) -> None:
    text = walk(compiled(json_schema=SCHEMA), choices)
    if text is None:
        return
    value = json.loads(text)
    assert list(value)[:2] == ["b", "a"], "properties come in the order of the schema"
    assert value.keys() <= SCHEMA["properties"].keys()
    assert 0 <= value["b"] <= 20 and value["a"] in ("x", "y\u00e9")
    assert all(type(each) is bool for each in value.get("list", []))


@settings(max_examples=30, deadline=None)
@given(choices=CHOICES)
def test_whatever_is_drawn_a_row_is_of_its_grammar(choices: list[int]) -> None:
    text = walk(compiled(grammar='start: "(" start ")" | "x"'), choices)
    assert text is None or text == "(" * text.count("(") + "x" + ")" * text.count("(")


def test_an_expression_that_is_complete_allows_its_end_and_what_may_follow() -> None:
    row = compiled(regex="a+").new_row()
    row.observe(ord("a"))
    assert allowed_by(row) == {ord("a"), *ENDS}
    done = compiled(regex="ab").new_row()
    for character in b"ab":
        assert allowed_by(done) == {character}
        done.observe(character)
    assert allowed_by(done) == ENDS


def allowed_by(row: RowStructure) -> set[int]:
    return set(allowed_tokens([row])[0].nonzero().flatten().tolist())


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.sampled_from(["12", "123", "123-", "123-ab", "9", ""]), max_size=9))
def test_rows_of_a_structure_are_each_on_their_own(texts: list[str]) -> None:
    structure = compiled(regex=REGEXES[0])
    rows = [structure.new_row() for _ in texts]
    for row, text in zip(rows, texts, strict=True):
        for character in text.encode():
            row.observe(character)
    together = allowed_tokens(rows) if rows else torch.empty(0, VOCAB_SIZE)
    for row, its_V in zip(rows, together, strict=True):
        assert torch.equal(allowed_tokens([row])[0], its_V)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"regex": "(["}, "regex: does not compile: .*unclosed character class"),
        ({"regex": "a(?=b)"}, "regex: does not compile: .*look-around"),
        ({"grammar": "start: nope"}, 'grammar: does not compile: .*unknown name: "nope"'),
        ({"grammar": "a thing"}, "grammar: does not compile: "),
        ({"json_schema": '{"type"'}, "json_schema: is no JSON: "),
        ({"json_schema": "[" * 10**5}, "json_schema: is no JSON: "),
        ({"json_schema": '{"const": NaN}'}, "json_schema: is no JSON for llguidance: "),
        ({"json_schema": r'{"const": "\ud800"}'}, "json_schema: is no JSON for llguidance: "),
        (
            {"json_schema": '{"items":' * 200 + "{}" + "}" * 200},
            "json_schema: is no JSON for llguidance: recursion limit",
        ),
        ({"json_schema": "[1]"}, r"json_schema: must be a JSON object, not \[1\]"),
        ({"json_schema": '{"type": "objekt"}'}, "json_schema: does not compile: Invalid type"),
        ({"json_schema": '{"$ref": "http://localhost/a.json"}'}, "json_schema: does not compile: "),
        (
            {"json_schema": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}},
            "json_schema: allows no text at all",
        ),
    ],
)
def test_what_does_not_compile_is_refused_and_says_why(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=f"^{message}") as caught:
        compiled(**fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_the_engine_lacks_is_said() -> None:
    with pytest.raises(RequestError, match=r"^regex: needs a model with a tokenizer"):
        compiled(new_structures(tokenizer=None), regex="a")
    with pytest.raises(RequestError, match=r"^regex: needs a model that tells the size"):
        compiled(new_structures(vocab_size=None), regex="a")


def test_a_tokenizer_that_llguidance_can_not_read_is_said() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?")
    tokenizer = HFTokenizer(tokenizers.Tokenizer(words).to_str(), {})
    with pytest.raises(RequestError, match=r"^regex: llguidance can't read this model's tokenizer"):
        compiled(new_structures(tokenizer), regex="a")


def test_a_structure_that_is_too_complex_in_the_middle_says_so() -> None:
    many = " | ".join(f'"a{number:04d}x"' for number in range(4000))
    row = compiled(grammar=f"start: {many}").new_row()
    row.observe(ord("a"))
    assert not allowed_by(row)
    assert row.error is not None and row.error.startswith("grammar: ") and "\n" not in row.error


def test_special_tokens_and_padding_are_in_no_text() -> None:
    allowed = allowed_by(compiled(regex="(?s:.*)").new_row())
    assert allowed & set(range(256, VOCAB_SIZE)) == ENDS
    assert len(SPECIAL_TOKENS) > len(ENDS)


def test_a_structure_is_compiled_once() -> None:
    structures = new_structures()
    assert compiled(structures, regex="a") is compiled(structures, regex="a")
    assert compiled(structures, regex="a") is not compiled(structures, grammar="a: /a/\nstart: a")
    assert structures.compile(SamplingParams()) is None
