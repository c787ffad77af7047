"""What a row says, as its tokens come."""

from __future__ import annotations

from vocab.text_pieces import TextPieces
from vocab.tokenizer import Tokenizer


class RowText:
    """The text so far but for an unfinished character, and where in the row each one begins."""

    __slots__ = ("_pieces", "begins", "text")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = TextPieces(tokenizer)
        self.text = ""
        self.begins: list[int] = []
        """Per character, the index of the first token that holds a part of it."""

    @property
    def pending(self) -> list[int]:
        """Likewise of the characters that are held back."""
        return self._pieces.pending

    def add(self, token: int, index: int) -> None:
        """The row's next token, which has text, and its index in the row."""
        self._tell(*self._pieces.add(token, index))

    def finish(self) -> None:
        """No token comes after this: what is unfinished stays so."""
        self._tell(*self._pieces.finish())

    def _tell(self, characters: str, begins: list[int]) -> None:
        self.text += characters
        self.begins += begins
