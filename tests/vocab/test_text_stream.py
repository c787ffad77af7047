"""A row's text comes in pieces that are its whole text together, and that break no character."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from tests.vocab.encodings import tiny_encoding
from tests.vocab.hf_folder import write_fallback_tokenizer, write_tokenizer
from vocab import BPETokenizer, ByteTokenizer, TextStream, Tokenizer, load_tokenizer

NAMES = ("byte", "bpe", "hf", "hf-fallback")
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f3fd"
TEXT = f"hello hi {FAMILY} e\u0301\u0327 \u20ac\ufffd\u00e9 \u0939\u093f\n"


@cache
def tokenizer_of(name: str) -> Tokenizer:
    if name == "byte":
        return ByteTokenizer()
    if name == "bpe":
        return BPETokenizer(tiny_encoding())
    folder = Path(tempfile.mkdtemp())
    write = write_tokenizer if name == "hf" else write_fallback_tokenizer
    return load_tokenizer(str(write(folder)))


@cache
def token_of_byte(name: str) -> list[int]:
    if name == "hf-fallback":
        return list(range(1, 257))
    if name != "hf":
        return list(range(256))
    # The letters of bytes that print are these bytes, and those of the others follow behind them.
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*printed, *(byte for byte in range(256) if byte not in printed)]
    return [order.index(byte) for byte in range(256)]


class Watched:
    """Notes how many tokens are decoded at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def decode(self, tokens: Sequence[int]) -> str:
        self.most = max(self.most, len(tokens))
        return self._tokenizer.decode(tokens)


def pieces_of(stream: TextStream, chunks: list[list[int]]) -> list[str]:
    return [*(stream.add(chunk) for chunk in chunks), stream.finish()]


chunks_of_bytes = st.lists(
    st.lists(
        st.text(st.sampled_from(TEXT), max_size=3).map(str.encode) | st.binary(max_size=3),
        max_size=4,
    ).map(b"".join),
    max_size=12,
)


@given(st.sampled_from(NAMES), chunks_of_bytes, st.lists(st.integers(0, 300), max_size=8))
@example("byte", [b"a\xe2", b"\x82", b"\xac", b"\xf0\x9f"], [258])
@example("hf-fallback", [b"hi \xf0\x9f\x98", b"\x80", b"\xff" * 40], [0, 257])
def test_the_pieces_are_the_whole_text(name: str, chunks: list[bytes], others: list[int]) -> None:
    """Special tokens, and those that are unknown, may stand in the middle of a character."""
    tokenizer, of_byte = tokenizer_of(name), token_of_byte(name)
    rows = [[of_byte[byte] for byte in chunk] for chunk in chunks]
    for place, token in enumerate(others):
        rows.insert(place * 2, [token])
    whole = tokenizer.decode([token for row in rows for token in row])
    stream = TextStream(tokenizer)
    assert "".join(pieces_of(stream, rows)) == whole
    assert stream.num_chars == len(whole)


@given(st.sampled_from(NAMES), st.text() | st.text(st.sampled_from(TEXT)))
@example("hf-fallback", f"hi{FAMILY}")
def test_no_piece_breaks_a_character(name: str, text: str) -> None:
    text = text.replace("\ufffd", "")
    tokenizer = tokenizer_of(name)
    pieces = pieces_of(TextStream(tokenizer), [[token] for token in tokenizer.encode(text)])
    assert not any("\ufffd" in piece for piece in pieces) and pieces[-1] == ""


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_the_text(name: str) -> None:
    of_byte = token_of_byte(name)
    assert tokenizer_of(name).decode([of_byte[byte] for byte in TEXT.encode()]) == TEXT


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [f"hi {FAMILY} \u20ac".encode() * 50, b"\xff" * 500])
def test_a_token_costs_the_same_however_long_the_row_is(name: str, data: bytes) -> None:
    tokenizer = Watched(tokenizer_of(name))
    stream = TextStream(tokenizer)
    rows = [[token_of_byte(name)[byte]] for byte in data]
    assert "".join(pieces_of(stream, rows)) == data.decode("utf-8", "replace")
    assert tokenizer.most < 20


@pytest.mark.parametrize("name", NAMES)
def test_what_is_a_whole_character_is_told_at_once(name: str) -> None:
    tokenizer = tokenizer_of(name)
    stream = TextStream(tokenizer)
    for text in ("hi", " \u20ac", "\n", f"{FAMILY}", "e\u0301", " "):
        assert stream.add(token_of_byte(name)[byte] for byte in text.encode()) == text
    assert stream.finish() == ""
