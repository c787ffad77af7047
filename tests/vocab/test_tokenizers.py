"""Every tokenizer keeps text, and keeps it apart from special tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vocab.encodings import tiny_encoding
from vocab import SPECIAL_TOKENS, BPETokenizer, ByteTokenizer, TokenizerError
from vocab.conversation import render_question
from vocab.display import display
from vocab.special import BOS

AnyTokenizer = BPETokenizer | ByteTokenizer

TOKENIZERS: dict[str, AnyTokenizer] = {
    "byte": ByteTokenizer(),
    "bpe": BPETokenizer(tiny_encoding()),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> AnyTokenizer:
    return TOKENIZERS[request.param]


@settings(deadline=None)
@given(st.sampled_from(sorted(TOKENIZERS)), st.text() | st.text("helo +19<|bs>"))
def test_text_survives_the_round_trip(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(deadline=None)
@given(st.lists(st.integers(0, 400)))
def test_any_tokens_decode_to_some_text(tokens: list[int]) -> None:
    for tokenizer in TOKENIZERS.values():
        assert isinstance(tokenizer.decode(tokens), str)


def test_special_tokens_in_a_text_are_ordinary_text(tokenizer: AnyTokenizer) -> None:
    special_ids = {tokenizer.encode_special(name) for name in SPECIAL_TOKENS}
    tokens = tokenizer.encode("".join(SPECIAL_TOKENS))
    assert not special_ids & set(tokens)
    assert tokenizer.decode(tokens) == "".join(SPECIAL_TOKENS)


def test_special_tokens_have_ids_of_their_own_and_no_text(tokenizer: AnyTokenizer) -> None:
    ids = [tokenizer.encode_special(name) for name in SPECIAL_TOKENS]
    first = tokenizer.get_vocab_size() - len(SPECIAL_TOKENS)
    assert ids == list(range(first, tokenizer.get_vocab_size()))
    assert tokenizer.get_bos_token_id() == tokenizer.encode_special(BOS)
    assert tokenizer.decode([*ids, *tokenizer.encode("a"), *ids]) == "a"


@pytest.mark.parametrize("name", ["", "a", "he", "<|bos|", "<|unknown|>"])
def test_an_unknown_special_token_is_a_key_error(tokenizer: AnyTokenizer, name: str) -> None:
    with pytest.raises(KeyError):
        tokenizer.encode_special(name)


def test_a_token_can_be_put_in_front(tokenizer: AnyTokenizer) -> None:
    bos = tokenizer.get_bos_token_id()
    assert tokenizer.encode("hello", prepend=bos) == [bos, *tokenizer.encode("hello")]
    assert tokenizer.encode("hello", prepend=0) == [0, *tokenizer.encode("hello")]


def test_bytes_that_are_no_text_are_replaced(tokenizer: AnyTokenizer) -> None:
    assert tokenizer.decode([0xFF, 0x41]) == "\ufffdA"


def test_a_question_waits_for_the_assistant(tokenizer: AnyTokenizer) -> None:
    tokens = render_question("hello <|user_end|>", tokenizer)
    names = ("<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>")
    bos, start, end, answer = (tokenizer.encode_special(name) for name in names)
    assert tokens[:2] == [bos, start]
    assert tokens[-2:] == [end, answer]
    assert tokens.count(end) == 1


def test_bpe_merges_what_was_learned() -> None:
    assert TOKENIZERS["bpe"].encode("hello +1") == [259, 260, ord("1")]


def test_bpe_needs_its_first_token() -> None:
    with pytest.raises(TokenizerError, match="endoftext"):
        BPETokenizer(tiny_encoding(), bos="<|endoftext|>")


def test_display_names_the_special_tokens_that_decode_leaves_out() -> None:
    tokenizer = ByteTokenizer()
    end = tokenizer.encode_special("<|assistant_end|>")
    assert display([*tokenizer.encode("äb"), end, end], tokenizer) == "äb" + 2 * "<|assistant_end|>"
