"""Choice: a row as callers know it, told in pieces or whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gateway.openai.asked import Served
from jobs import Row, RowDelta
from vocab import TextStream


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is new of a choice.

    `index`: the choice's, among all of the answer. `delta`: its tokens and all that was told of
    them. `text`: what they add to the choice's text. `offsets`, one per token, where there are
    logprobs: how many characters of the text stood before the token came.
    """

    index: int
    delta: RowDelta
    text: str
    offsets: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell but tokens."""
        return not self.text and self.delta.finish_reason is None


class Choice:
    """Follows one row. `begin`: characters that stand before its text, which offsets count."""

    def __init__(self, served: Served, index: int, begin: int = 0) -> None:
        self._index = index
        self._begin = begin
        self._stream = None if served.tokenizer is None else TextStream(served.tokenizer)

    def add(self, delta: RowDelta) -> Piece:
        """The row's next delta.

        Together the texts are those of `whole`: a row's own text, or what its tokens say.
        """
        stream = self._stream
        if stream is None:
            nowhere = (self._begin,) * len(delta.logprobs or ())
            return Piece(index=self._index, delta=delta, text="", offsets=nowhere)
        texts, offsets = [], []
        if delta.logprobs is None:
            texts.append(stream.add(delta.tokens))
        else:
            for token in delta.tokens:
                offsets.append(self._begin + stream.num_chars)
                texts.append(stream.add([token]))
        if delta.text is not None:  # it may go on behind its last token, up to a stop string
            texts.append(delta.text[stream.num_chars :])
        elif delta.finish_reason is not None:
            texts.append(stream.finish())
        return Piece(index=self._index, delta=delta, text="".join(texts), offsets=tuple(offsets))


def whole(served: Served, index: int, row: Row, begin: int = 0) -> Piece:
    """All of a row as one piece."""
    delta = RowDelta(row=index, start=0, **dict(row))
    if row.logprobs is not None or served.tokenizer is None:
        return Choice(served, index, begin).add(delta)
    text = served.tokenizer.decode(row.tokens) if row.text is None else row.text
    return Piece(index=index, delta=delta, text=text)


def offsets_of(served: Served, tokens: Sequence[int]) -> list[int]:
    """Where the texts of a prompt's tokens begin, as a piece's `offsets`."""
    if served.tokenizer is None:
        return [0] * len(tokens)
    stream = TextStream(served.tokenizer)
    offsets = []
    for token in tokens:
        offsets.append(stream.num_chars)
        stream.add([token])
    return offsets
