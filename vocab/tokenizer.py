"""What Rowmill asks of a tokenizer: the part of nanochat's interface that sampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


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
