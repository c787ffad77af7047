"""nanochat's view of rows, `Engine.generate`'s columns, and reading it bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import EngineError, RowResult

Column = tuple[list[int], list[int]]


def columns_of(rows: list[RowResult], prompt: Sequence[int]) -> list[Column]:
    """Tokens and masks per position; rows that have ended repeat their last token, unmasked.

    They end before the first position for which some row has no logits.
    """
    lengths = [len(row.tokens) for row in rows]
    broken = [len(row.tokens) for row in rows if row.finish_reason == "error"]
    return [
        (
            [[prompt[-1], *row.tokens][min(position + 1, len(row.tokens))] for row in rows],
            [row.masks[position] if position < len(row.masks) else 0 for row in rows],
        )
        for position in range(min(broken, default=max(lengths)))
    ]


class Stream:
    """A `generate` that somebody reads beside the rest, against the rows that it should give."""

    def __init__(
        self, columns: Iterator[Column], rows: list[RowResult], prompt: Sequence[int]
    ) -> None:
        self._columns = columns
        self._expected = columns_of(rows, prompt)
        self._is_broken = any(row.finish_reason == "error" for row in rows)
        self._position = 0

    def read(self, num_columns: int) -> bool:
        """Check that many further columns; False where the stream is at its end."""
        for _ in range(num_columns):
            try:
                column = next(self._columns)
            except StopIteration:
                assert self._position == len(self._expected) and not self._is_broken
                return False
            except EngineError:  # as soon as one row has no logits; others may not have started
                assert self._is_broken
                return False
            assert column == self._expected[self._position]
            self._position += 1
        return True

    def close(self) -> None:
        self._columns.close()  # type: ignore[attr-defined]
