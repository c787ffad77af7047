"""nanochat's tokenizer: byte-pair encoding by tiktoken, with special tokens beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vocab.errors import TokenizerError
from vocab.special import BOS

if TYPE_CHECKING:
    from tiktoken import Encoding


class BPETokenizer:
    """Wraps a `tiktoken.Encoding`, with the interface of nanochat's `RustBPETokenizer`.

    Text is only ever ordinary text: the characters of a special token's name are encoded like
    any others, so a prompt can't forge one. Special tokens are had from `encode_special` alone.

    Raises TokenizerError where `bos` is not among the encoding's special tokens.
    """

    def __init__(self, encoding: Encoding, bos: str = BOS) -> None:
        self._encoding = encoding
        self._special_ids = {
            name: encoding.encode_single_token(name) for name in encoding.special_tokens_set
        }
        if bos not in self._special_ids:
            raise TokenizerError(f"the tokenizer has no special token {bos}")
        self._bos_id = self._special_ids[bos]
        self._special_values = frozenset(self._special_ids.values())

    def get_vocab_size(self) -> int:
        """One more than the highest token id."""
        return self._encoding.n_vocab

    def encode_special(self, name: str) -> int:
        """The id of a special token. Raises KeyError for a name that is none."""
        return self._special_ids[name]

    def get_bos_token_id(self) -> int:
        return self._bos_id

    def encode(self, text: str, prepend: int | None = None) -> list[int]:
        tokens = self._encoding.encode_ordinary(text)
        return tokens if prepend is None else [prepend, *tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of the ordinary tokens; special and unknown tokens have none and are left out.

        nanochat writes the names of special tokens into the text. Leaving them out keeps the two
        apart, as `ByteTokenizer` does: a name seen in decoded text was spelled, not sampled.
        """
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """Those of an ordinary token; special and unknown ones have none."""
        if token in self._special_values:
            return b""
        try:
            return self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):  # in a gap or past the end; not an id at all
            return b""
