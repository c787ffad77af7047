"""What Rowmill asks of a tokenizer: the part of nanochat's interface that sampling needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable


class Tokenizer(Protocol):
    def get_vocab_size(self) -> int:
        """One more than the highest token id."""

    def get_bos_token_id(self) -> int | None:
        """The token that begins a sequence; None where sequences begin without one."""

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


@runtime_checkable
class ChatTokenizer(Tokenizer, Protocol):
    """A tokenizer that knows its model's chat format; one that does not has nanochat's."""

    def get_end_token_ids(self) -> frozenset[int]:
        """The tokens that end a row when sampled."""

    def render(self, messages: Sequence[object], /) -> list[int]:
        """The tokens of a conversation that waits for the assistant's next message.

        Raises ConversationError.
        """

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The special tokens' names and ids."""

    def definition(self) -> str:
        """All that makes tokens of prompts: equal texts, equal tokens."""
