"""Tokens are named so that a reader can tell them apart, and put their bytes together."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from tests.vocab.encodings import tiny_encoding
from tests.vocab.hf_folder import write_fallback_tokenizer, write_tokenizer
from vocab import BPETokenizer, ByteTokenizer, Tokenizer, load_tokenizer
from vocab.token_name import TokenNames

TOKENIZERS: dict[str, Tokenizer] = {
    "byte": ByteTokenizer(),
    "bpe": BPETokenizer(tiny_encoding()),
    "hf": load_tokenizer(str(write_tokenizer(Path(tempfile.mkdtemp())))),
    "hf-fallback": load_tokenizer(str(write_fallback_tokenizer(Path(tempfile.mkdtemp())))),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_name_is_in_doubt(name: str) -> None:
    """Whose text is not known goes by its number."""
    tokenizer = TOKENIZERS[name]
    names = TokenNames(tokenizer)
    told = [names.name(token) for token in range(tokenizer.get_vocab_size() + 3)]
    assert not any("\ufffd" in each for each in told)
    if name != "hf-fallback":  # which has some characters as bytes, too
        assert len(set(told)) == len(told)
    for token, each in enumerate(told):
        assert not each.startswith("token_id:") or each == f"token_id:{token}"


@given(st.sampled_from(["byte", "bpe"]), st.text())
def test_the_bytes_of_a_texts_tokens_are_the_texts(name: str, text: str) -> None:
    names = TokenNames(TOKENIZERS[name])
    data = b"".join(names.utf8(token) or b"" for token in TOKENIZERS[name].encode(text))
    assert data.decode() == text


def test_a_space_before_a_word_is_in_its_name() -> None:
    names = TokenNames(TOKENIZERS["hf-fallback"])
    assert [names.name(token) for token in (257, 260)] == [" ", "hi"]


def test_parts_of_characters_and_special_tokens_are_told_as_what_they_are() -> None:
    names = TokenNames(TOKENIZERS["byte"])
    assert (names.name(0xE2), names.utf8(0xE2)) == ("bytes:\\xe2", b"\xe2")
    assert (names.name(256), names.utf8(256)) == ("<|bos|>", None)
    assert (names.name(9999), names.utf8(9999)) == ("token_id:9999", None)
    assert TokenNames(None).name(65) == "token_id:65"
