"""A row's text as its tokens come, a piece at a time, without breaking a character."""

from __future__ import annotations

from vocab.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"
"""What a tokenizer writes for bytes that are no text; at the end, for those that are none yet."""
_UNFINISHED = 3
"""An unfinished character has so many bytes at most, for which some tokenizers write one each."""
_MOST_TOKENS = 8
_KEPT_TOKENS = 5
"""An unfinished character spans three tokens at most; the others are what goes before it."""


class TextPieces:
    """Tells each character once, and the index of the first token that holds a part of it.

    What may yet become a character is held back. Tokenizers with tokens for single bytes write
    all bytes in a row as unknown while the last ones are no character: so what was told may be
    taken back for a while, and nothing is told then.
    """

    __slots__ = ("_num_whole", "_tokenizer", "_told", "_window", "pending")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        """The newest tokens: text is had from several at once, as one alone may have none."""
        self._num_whole = 0
        """How many of its first tokens end with a whole character."""
        self._told = ""
        """Of the window's text, what was told."""
        self.pending: list[int] = []
        """Where the characters begin that are held back."""

    def add(self, token: int, index: int) -> tuple[str, list[int]]:
        """The row's next token, which has text, and its index in the row.

        Returns what it adds to the text, and where each of these characters begins.
        """
        self._window.append(token)
        text = self._tokenizer.decode(self._window)
        is_whole = not text.endswith(_UNKNOWN)
        piece: tuple[str, list[int]] = "", []
        if is_whole or text.startswith(self._told):
            piece = self._follow(text, index)
        elif not self.pending:
            self.pending = [index]
        if is_whole:
            self._move(self._num_whole if len(self._window) > _MOST_TOKENS else 0)
            self._num_whole = len(self._window)
        elif len(self._window) > 2 * _MOST_TOKENS:  # bytes that are no text
            self._move(len(self._window) - _KEPT_TOKENS)
            self._num_whole = 0
        return piece

    def finish(self) -> tuple[str, list[int]]:
        """No token comes after this: what is unfinished stays so."""
        begins, self.pending = self.pending, []
        return _UNKNOWN * len(begins), begins

    def _follow(self, text: str, index: int) -> tuple[str, list[int]]:
        """Of the window's text what is new, but for what may be unfinished."""
        num_told = len(self._told)
        new = text[num_told:]
        begins = [*self.pending, *[index] * len(new)][: len(new)]
        num_unknown = len(new) - len(new.rstrip(_UNKNOWN))
        end = len(new) - min(num_unknown, _UNFINISHED)
        self._told = text[: num_told + end]
        self.pending = begins[end:]
        return new[:end], begins[:end]

    def _move(self, num_tokens: int) -> None:
        """Let go of so many of the window's first tokens."""
        if num_tokens:
            del self._window[:num_tokens]
            text = self._tokenizer.decode(self._window)
            self._told = text[: len(text) - len(self.pending)]


class HasText:
    """Whether a token says anything: special tokens don't, nor those of no tokenizer."""

    __slots__ = ("_known", "_tokenizer")

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, bool] = {}

    def __call__(self, token: int) -> bool:
        known = self._known.get(token)
        if known is None:
            try:  # twice, as some tokenizers leave out a space at the beginning of a text
                known = bool(self._tokenizer.decode([token, token]))
            except (KeyError, ValueError, OverflowError):
                known = False
            self._known[token] = known
        return known
