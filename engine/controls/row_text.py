"""What a row says, as its tokens come. A character may be split over several of them."""

from __future__ import annotations

from vocab.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"
"""What a tokenizer writes for bytes that are no text; at the end, for those that are none yet."""
_UNFINISHED = 3
"""An unfinished character has so many bytes at most, for which some tokenizers write one each."""
_MOST_TOKENS = 8
_KEPT_TOKENS = 5
"""An unfinished character spans three tokens at most; the others are what goes before it."""


class RowText:
    """The text so far but for an unfinished character, and where in the row each one begins.

    What may yet become a character is held back. Tokenizers with tokens for single bytes write
    all bytes in a row as unknown while the last ones are no character: so what was told may be
    taken back for a while, and nothing is told then.
    """

    __slots__ = ("_num_whole", "_tokenizer", "_told", "_window", "begins", "pending", "text")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        """The newest tokens: text is had from several at once, as one alone may have none."""
        self._num_whole = 0
        """How many of its first tokens end with a whole character."""
        self._told = ""
        """Of the window's text, what is in `text`."""
        self.text = ""
        self.begins: list[int] = []
        """Per character, the index of the first token that holds a part of it."""
        self.pending: list[int] = []
        """Likewise of the characters that are held back."""

    def add(self, token: int, index: int) -> None:
        """The row's next token, which has text, and its index in the row."""
        self._window.append(token)
        text = self._tokenizer.decode(self._window)
        is_whole = not text.endswith(_UNKNOWN)
        if is_whole or text.startswith(self._told):
            self._follow(text, index)
        elif not self.pending:
            self.pending = [index]
        if is_whole:
            self._move(self._num_whole if len(self._window) > _MOST_TOKENS else 0)
            self._num_whole = len(self._window)
        elif len(self._window) > 2 * _MOST_TOKENS:  # bytes that are no text
            self._move(len(self._window) - _KEPT_TOKENS)
            self._num_whole = 0

    def finish(self) -> None:
        """No token comes after this: what is unfinished stays so."""
        self._tell(_UNKNOWN * len(self.pending), self.pending)
        self.pending = []

    def _follow(self, text: str, index: int) -> None:
        """Tell of the window's text what is new, but for what may be unfinished."""
        num_told = len(self._told)
        new = text[num_told:]
        begins = [*self.pending, *[index] * len(new)][: len(new)]
        num_unknown = len(new) - len(new.rstrip(_UNKNOWN))
        end = len(new) - min(num_unknown, _UNFINISHED)
        self._tell(new[:end], begins[:end])
        self._told = text[: num_told + end]
        self.pending = begins[end:]

    def _tell(self, characters: str, begins: list[int]) -> None:
        self.text += characters
        self.begins += begins

    def _move(self, num_tokens: int) -> None:
        """Let go of so many of the window's first tokens."""
        if num_tokens:
            del self._window[:num_tokens]
            text = self._tokenizer.decode(self._window)
            self._told = text[: len(text) - len(self.pending)]
