"""Stop strings: where one is complete the row ends, before the first token with a part of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from engine.controls.row_text import RowText
from vocab.text_pieces import HasText
from vocab.tokenizer import Tokenizer


class StopStrings:
    """Of one request, the same for all of its rows. There may be none: for the text alone."""

    def __init__(self, strings: Sequence[str], min_tokens: int, tokenizer: Tokenizer) -> None:
        self.strings = tuple(dict.fromkeys(strings))
        self.min_tokens = min_tokens
        """A stop string that begins in an earlier token ends no row."""
        self.tokenizer = tokenizer
        self.longest = max(map(len, strings), default=0)
        self.beginnings = {each[:end] for each in strings for end in range(1, len(each))}
        self.has_text = HasText(tokenizer)


class StopSearch:
    """The search through one row's text as it comes."""

    __slots__ = ("_end", "_its", "_num_tokens", "_row")

    def __init__(self, its: StopStrings) -> None:
        self._its = its
        self._row = RowText(its.tokenizer)
        self._num_tokens = 0
        self._end: int | None = None
        """Where in the text the stop string that was found begins."""

    def add(self, token: int) -> int | None:
        """Follow the row's next token. How many tokens stay, where a stop string is complete."""
        num_searched = len(self._row.text)
        if self._its.has_text(token):
            self._row.add(token, self._num_tokens)
        self._num_tokens += 1
        return self._found(num_searched)

    def finish(self) -> int | None:
        """The row has ended by something else; what may be found in its last bytes, as in `add`."""
        num_searched = len(self._row.text)
        self._row.finish()
        return self._found(num_searched)

    @property
    def has_found(self) -> bool:
        return self._end is not None

    @property
    def text(self) -> str:
        """What the row says, up to the stop string that ended it."""
        return self._row.text[: self._end]

    @property
    def num_settled(self) -> int:
        """How many of the row's tokens will stay, whatever comes."""
        row = self._row
        if not self._its.strings:
            return self._num_tokens
        unsettled = row.pending[0] if row.pending else self._num_tokens
        first = max(self._first, len(row.text) - self._its.longest + 1)
        for start in range(first, len(row.text)):
            if row.text[start:] in self._its.beginnings:
                return min(row.begins[start], unsettled)
        return unsettled

    @property
    def _first(self) -> int:
        """The first character at which a stop string may begin."""
        return bisect_left(self._row.begins, self._its.min_tokens)

    def _found(self, num_searched: int) -> int | None:
        """Of the stop strings that end behind what was searched the first one to end; of several,
        the longest."""
        text = self._row.text
        if len(text) == num_searched:
            return None
        first, found = self._first, []
        for string in self._its.strings:
            start = text.find(string, max(first, num_searched - len(string) + 1))
            if start >= 0:
                found.append((start + len(string), start))
        if not found:
            return None
        _, self._end = min(found)
        return self._row.begins[self._end]
