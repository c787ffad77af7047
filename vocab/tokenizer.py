"""What Rowmill asks of a tokenizer: the part of nanochat's interface that sampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


class Tokenizer(Protocol):
    def get_vocab_size(self) -> int:
        """One more than the highest token id."""

    def get_bos_token_id(self) -> int: ...

    def encode_special(self, name: str, /) -> int:
        """The id of a special token such as `<|assistant_end|>`. Raises KeyError for others."""

    def encode(self, text: str, /) -> list[int]:
        """The tokens of `text`, which never include special tokens."""

    def decode(self, tokens: Sequence[int], /) -> str:
        """The text of the tokens; special tokens have none."""


@runtime_checkable
class TellsBytes(Protocol):
    """A tokenizer that also tells what each of its tokens adds to a text."""

    def token_bytes(self, token: int, /) -> bytes:
        """UTF-8, perhaps a part of a character; nothing where a token is special or unknown."""


@runtime_checkable
class WritesJson(Protocol):
    """A tokenizer that is one of the tokenizers library."""

    def to_json(self) -> str:
        """The library's own form of it."""
