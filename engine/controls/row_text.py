"""What a row says, as its tokens come. A character may be split over several of them."""

from __future__ import annotations

from vocab.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"
"""What a tokenizer writes for bytes that are no text; at the end, for those that are none yet."""
_MOST_TOKENS = 8
_KEPT_TOKENS = 5
"""An unfinished character spans three tokens at most; the others are what goes before it."""


class RowText:
    """The text so far but for an unfinished character, and where in the row each one begins."""

    __slots__ = ("_num_told", "_tokenizer", "_window", "begins", "pending", "text")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        """The newest tokens: text is had from several at once, as one alone may have none."""
        self._num_told = 0
        """Characters of the window's text that are in `text`."""
        self.text = ""
        self.begins: list[int] = []
        """Per character, the index of the first token that holds a part of it."""
        self.pending: int | None = None
        """Likewise of the unfinished character, if there is one."""

    def add(self, token: int, index: int) -> None:
        """The row's next token, which has text, and its index in the row."""
        self._window.append(token)
        text = self._tokenizer.decode(self._window)
        end = len(text) - text.endswith(_UNKNOWN)
        self._tell(text[self._num_told : end], index)
        self._num_told = max(self._num_told, end)
        if end == len(text):
            self.pending = None
        elif self.pending is None:
            self.pending = index
        if len(self._window) > _MOST_TOKENS:
            self._window = self._window[-_KEPT_TOKENS:]
            num_untold = len(text) - self._num_told
            self._num_told = len(self._tokenizer.decode(self._window)) - num_untold

    def finish(self) -> None:
        """No token comes after this: the unfinished character stays one."""
        if self.pending is not None:
            self._tell(_UNKNOWN, self.pending)

    def _tell(self, characters: str, index: int) -> None:
        """The first of them is the one that was unfinished, if one was."""
        if characters:
            first = index if self.pending is None else self.pending
            self.begins += [first, *[index] * (len(characters) - 1)]
            self.text += characters
            self.pending = None
