"""A row ends before the first token that holds a part of the stop string that is complete first."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.row_state import RowState
from tests.engine.controls import new_row
from tests.engine.models import ScriptedModel
from tests.engine.runs import new_engine, request, run_all
from vocab import ByteTokenizer

TOKENIZER = ByteTokenizer()
BOS, END, OUT_END = (
    TOKENIZER.encode_special(f"<|{name}|>") for name in ("bos", "assistant_end", "output_end")
)


class PieceTokenizer:
    """Tokens of any bytes; an empty one is special, and one that is out of range is unknown."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces

    def get_vocab_size(self) -> int:
        return len(self.pieces)

    def get_bos_token_id(self) -> int:
        return 0

    def encode_special(self, name: str) -> int:
        raise KeyError(name)

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def decode(self, tokens: Sequence[int]) -> str:
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")


class FallbackTokenizer(PieceTokenizer):
    """Bytes in a row that are no text are all unknown, one by one, as those of Llama's tokenizer;
    and a text's first space is left out."""

    def decode(self, tokens: Sequence[int]) -> str:
        text = ""
        pieces = [self.pieces[token] for token in tokens]
        for is_byte, group in groupby(pieces, key=lambda piece: piece[:1] >= b"\x80"):
            data = b"".join(group)
            try:
                text += data.decode()
            except UnicodeDecodeError:
                assert is_byte
                text += "\ufffd" * len(data)
        return text.removeprefix(" ")


def with_begins(data: bytes) -> tuple[str, list[int]]:
    """The text of bytes, and for each character the byte at which it begins."""
    broken: list[tuple[int, int]] = []

    def note(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        broken.append((error.start, error.end))
        return "\ufffd", error.end

    codecs.register_error("note", note)
    text = data.decode("utf-8", "note")
    begins, place, ends = [], 0, dict(broken)
    for character in text:
        begins.append(place)
        place = ends[place] if place in ends else place + len(character.encode())
    assert place == len(data)
    return text, begins


def expected(
    pieces: Sequence[bytes], script: Sequence[int], stops: Sequence[str], min_tokens: int
) -> tuple[int, str] | None:
    """How many tokens of the script stay, and their text; None where no stop string is in it."""
    owners = [index for index, token in enumerate(script) for _ in pieces[token]]
    text, begins = with_begins(b"".join(pieces[token] for token in script))
    matches = [
        (start + len(stop), start)
        for stop in stops
        for start in range(len(text))
        if text.startswith(stop, start) and owners[begins[start]] >= min_tokens
    ]
    if not matches:
        return None
    _, start = min(matches)
    return owners[begins[start]], text[:start]


def follow(row: RowState, script: Sequence[int]) -> list[int]:
    """Append until the row has ended; returns how many tokens were settled after each."""
    settled = []
    for token in script:
        if row.finish_reason is None:
            row.append(token)
            settled.append(row.num_settled)
    return settled


letters = st.sampled_from("ab\u00e9\u20ac\U0001f600\ufffd")
words = st.text(letters, min_size=1, max_size=4)
bits = (
    st.binary(max_size=2)
    | words.map(str.encode)
    | st.sampled_from(
        [b"", b"\xc3", b"\xa9", b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"\x98", b"\x80", b"\xff"]
    )
)


@settings(max_examples=600)
@given(
    st.lists(bits, min_size=1, max_size=12),
    st.lists(st.integers(0, 11), min_size=1, max_size=40),
    st.lists(words, min_size=1, max_size=4),
    st.just(0) | st.integers(0, 12),
)
@example([b"a", b"\xe2", b"\x82", b"", b"\xac"], [0, 1, 3, 3, 2, 3, 4, 0], ["\u20ac"], 0)
@example([b"abcd"], [0], ["bcd", "cd", "ab"], 0)
@example([b"a", b"b"], [0, 0, 1], ["ab", "aab", "b"], 0)
@example([b"\xff"], [0] * 40, ["\ufffd" * 4], 20)
def test_they_end_a_row_as_a_search_through_its_whole_text_would(
    pieces: list[bytes], numbers: list[int], stops: list[str], min_tokens: int
) -> None:
    script = [number % len(pieces) for number in numbers]
    min_tokens = min(min_tokens, len(script))
    row = new_row(
        [0],
        PieceTokenizer(pieces),
        max_new_tokens=len(script),
        stop=stops,
        min_tokens=min_tokens,
    )
    settled = follow(row, script)
    result = row.result()
    found = expected(pieces, script, stops, min_tokens)
    if found is None:
        whole = b"".join(pieces[token] for token in script).decode("utf-8", "replace")
        assert (result.tokens, result.text) == (script, whole)
        assert result.finish_reason == "length"
    else:
        assert (len(result.tokens), result.text) == found
        assert result.tokens == script[: found[0]]
        assert result.finish_reason == "stop" and len(result.tokens) >= min_tokens
    assert settled == sorted(settled) and settled[-1] == len(result.tokens)


@settings(max_examples=400)
@given(
    st.text(st.sampled_from("ab \u00e9\u20ac\U0001f600"), min_size=1, max_size=40),
    st.lists(
        st.text(st.sampled_from("ab \u00e9\u20ac\U0001f600"), min_size=1, max_size=3), max_size=3
    ),
)
@example("\u20ac\u20aca\U0001f600\U0001f600b", ["\U0001f600b"])
def test_characters_of_single_bytes_are_found_and_told_whole(text: str, stops: list[str]) -> None:
    pieces = [b"a", b"b", b" ", *(bytes([byte]) for byte in range(0x80, 0x100))]
    text = f"a{text}"
    script = [pieces.index(bytes([byte])) for byte in text.encode()]
    stops = [*stops, "c"]
    row = new_row([0], FallbackTokenizer(pieces), max_new_tokens=len(script), stop=stops)
    settled = follow(row, script)
    tokens, told = expected(pieces, script, stops, 0) or (len(script), text)
    assert (len(row.tokens), row.result().text) == (tokens, told)
    assert settled == sorted(settled) and settled[-1] == tokens


def test_a_token_that_no_stop_string_can_claim_is_settled_at_once() -> None:
    row = new_row([0], TOKENIZER, stop=["\n\nQ:"])
    assert follow(row, list(b"ab\nc\n\nd")) == [1, 2, 2, 4, 4, 4, 7]


def test_a_special_token_has_no_text_and_splits_no_stop_string() -> None:
    row = new_row([0], TOKENIZER, stop=["END"], max_new_tokens=9)
    follow(row, [OUT_END, *b"xE", OUT_END, *b"ND!"])
    assert (row.tokens, row.result().text) == ([OUT_END, *b"x"], "x")


def test_the_names_of_special_tokens_are_not_in_the_text() -> None:
    row = new_row([0], TOKENIZER, stop=["<|output_end|>"], max_new_tokens=2)
    follow(row, [OUT_END, OUT_END])
    assert row.finish_reason == "length"


def test_a_stop_string_comes_before_an_end_token_and_the_length() -> None:
    for ending in ({"max_new_tokens": 4}, {"ends": [ord("p")]}, {"stop_token_ids": [ord("p")]}):
        row = new_row([0], TOKENIZER, stop=["op"], **ending)
        follow(row, list(b"stop"))
        assert (row.tokens, row.finish_reason) == ([*b"st"], "stop")
        assert not row.is_ended_by_token


def test_masks_and_logprobs_go_with_the_tokens() -> None:
    logits = [[0.0] * 265 for _ in range(6)]
    for position, token in enumerate(b"so END"):
        logits[position][token] = 9.0
    model = ScriptedModel(1, logits)
    asked = request(
        "a", [1], 2, max_tokens=6, temperature=0, stop=["END"], logprobs=True, top_logprobs=2
    )
    for row in run_all(model, [asked], TOKENIZER)["a"]:
        assert (row.tokens, row.text, row.finish_reason) == ([*b"so "], "so ", "stop")
        assert len(row.masks) == len(row.logprobs or ()) == 3
        assert row.top_tokens is not None and row.top_tokens[::2] == [*b"so "]
        assert len(row.top_tokens) == len(row.top_logprobs or ()) == 6


def test_a_row_may_be_left_with_no_token() -> None:
    model = ScriptedModel(1, [*b"STOP"])
    asked = request("a", [7], 2, max_tokens=9, stop=["ST"])
    for row in run_all(model, [asked], TOKENIZER)["a"]:
        assert (row.tokens, row.text, row.finish_reason) == ([], "", "stop")
    engine = new_engine(model, TOKENIZER)
    assert engine.generate_batch([7], 2, stop=["ST"]) == ([[7], [7]], [[0], [0]])
    assert list(engine.generate([7], 2, stop=["ST"])) == []


def test_text_that_a_tool_forces_counts() -> None:
    call = [TOKENIZER.encode_special("<|python_start|>"), *b"6*7"]
    call.append(TOKENIZER.encode_special("<|python_end|>"))
    model = ScriptedModel(1, [*call, 0, 0, 0, 0, 0])
    (row,) = run_all(model, [request("a", [1], max_tokens=10, stop=["742"])], TOKENIZER)["a"]
    assert row.text == "6*" and row.tokens == call[:3]


def test_a_stream_holds_back_what_a_stop_string_may_claim() -> None:
    """Its columns are those of the rows, and each comes as soon as it is settled."""
    model = ScriptedModel(1, [*b"a\nb\n\nc"])
    engine = new_engine(model, TOKENIZER)
    told = []
    for tokens, _ in engine.generate([1], 1, max_tokens=50, stop=["\n\n"]):
        told.append((tokens[0], engine.stats.steps))
    assert told == [(ord("a"), 1), (ord("\n"), 3), (ord("b"), 3)]
    whole = engine.generate_batch([1], 1, max_tokens=50, stop=["\n\n"])
    assert whole == ([[1, *b"a\nb"]], [[0, 1, 1, 1]])


@pytest.mark.parametrize("token", [END, BOS])
def test_generate_batch_leaves_out_the_token_that_ended_a_row_alone(token: int) -> None:
    engine = new_engine(ScriptedModel(1, [*b"hi", token]), TOKENIZER)
    assert engine.generate_batch([1], 1) == ([[1, *b"hi"]], [[0, 1, 1]])
    both = engine.generate_batch([1], 1, max_tokens=4, ignore_eos=True)
    assert both == ([[1, *b"hi", token, token]], [[0, 1, 1, 1, 1]])
    stopped = engine.generate_batch([1], 1, max_tokens=4, stop_token_ids=[ord("i")])
    assert stopped == ([[1, *b"h"]], [[0, 1]])
