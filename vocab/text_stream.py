"""The text of a row as it comes, for people who read along."""

from __future__ import annotations

from collections.abc import Iterable

from vocab.text_pieces import HasText, TextPieces
from vocab.tokenizer import Tokenizer


class TextStream:
    """Tells what a row's tokens add to its text.

    All pieces in a row are what the tokenizer's `decode` makes of all tokens. A token takes the
    same time however long the row is.
    """

    __slots__ = ("_has_text", "_pieces", "num_chars")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = TextPieces(tokenizer)
        self._has_text = HasText(tokenizer)
        self.num_chars = 0
        """How many characters were told."""

    def add(self, tokens: Iterable[int]) -> str:
        """What the row's next tokens add to its text."""
        texts = [self._pieces.add(token, 0)[0] for token in tokens if self._has_text(token)]
        return self._told("".join(texts))

    def finish(self) -> str:
        """What is left where no token follows: U+FFFD for bytes that are no text."""
        return self._told(self._pieces.finish()[0])

    def _told(self, text: str) -> str:
        self.num_chars += len(text)
        return text
