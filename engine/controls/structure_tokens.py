"""A tokenizer as llguidance asks for it."""

from __future__ import annotations

from typing import Protocol

from vocab.tokenizer import TellsBytes, Tokenizer


class _Known(Tokenizer, TellsBytes, Protocol):
    pass


class StructureTokens:
    """The bytes of every token. Its names are llguidance's.

    Tokens without text are special ones, and those that the model has beyond its tokenizer's: no
    structure allows them, but for those that end a row.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: _Known, vocab_size: int, eos_token_id: int) -> None:
        known = min(tokenizer.get_vocab_size(), vocab_size)
        self.eos_token_id = eos_token_id
        self.tokens = [tokenizer.token_bytes(token) for token in range(known)]
        self.tokens += [b""] * (vocab_size - known)
        self.special_token_ids = [token for token, text in enumerate(self.tokens) if not text]
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)
