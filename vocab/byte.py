"""A tokenizer whose tokens are the 256 bytes, followed by the special tokens."""

from __future__ import annotations

from collections.abc import Sequence

from vocab.special import BOS, SPECIAL_TOKENS


class ByteTokenizer:
    """Tokens 0-255 are the bytes of the text in UTF-8; 256 and up are special tokens.

    It has the interface of nanochat's tokenizers (`encode`, `decode`, `encode_special`,
    `get_bos_token_id`), so it can stand wherever one of those does.
    """

    def __init__(self, special_tokens: Sequence[str] = SPECIAL_TOKENS) -> None:
        self._special_ids = {name: 256 + i for i, name in enumerate(special_tokens)}

    def get_vocab_size(self) -> int:
        return 256 + len(self._special_ids)

    def encode_special(self, name: str) -> int:
        """The id of a special token. Raises KeyError for a name that is none."""
        return self._special_ids[name]

    def get_bos_token_id(self) -> int:
        return self._special_ids[BOS]

    def encode(self, text: str, prepend: int | None = None) -> list[int]:
        tokens = list(text.encode("utf-8"))
        return tokens if prepend is None else [prepend, *tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of the byte tokens; special tokens have no text and are left out."""
        return bytes(token for token in tokens if token < 256).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """The byte; special tokens have none."""
        return bytes([token]) if token < 256 else b""
