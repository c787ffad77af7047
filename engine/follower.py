"""Follower: tells what is new of a request's rows, each token once."""

from __future__ import annotations

from collections.abc import Sequence

from engine.request import RowDelta
from engine.row_state import RowState


class Follower:
    """Of one request that streams.

    It knows rows by their place, so one that starts over is told on from where it was.
    """

    __slots__ = ("_first_open", "_told")

    def __init__(self) -> None:
        self._told: list[int | None] = []
        """By row, how many of its tokens were told; None where its end was, too."""
        self._first_open = 0
        """All rows before it were told to their end."""

    def follow(self, rows: Sequence[RowState]) -> list[RowDelta]:
        """What is new of the rows that were started, in their order."""
        told = self._told
        told += [0] * (len(rows) - len(told))
        while self._first_open < len(told) and told[self._first_open] is None:
            self._first_open += 1
        deltas = []
        for place in range(self._first_open, len(rows)):
            row, start = rows[place], told[place]
            if start is None:
                continue
            has_ended, end = row.finish_reason is not None, row.num_settled
            if has_ended or end > start:
                deltas.append(_delta(row, start, end))
                told[place] = None if has_ended else end
        return deltas


def _delta(row: RowState, start: int, end: int) -> RowDelta:
    num_top = row.request.params.top_logprobs
    top_start, top_end = start * num_top, end * num_top
    return RowDelta(
        index=row.index,
        start=start,
        tokens=row.tokens[start:end],
        masks=row.masks[start:end],
        finish_reason=row.finish_reason,
        logprobs=None if row.logprobs is None else row.logprobs[start:end],
        top_tokens=row.top_tokens[top_start:top_end] if num_top else None,
        top_logprobs=row.top_logprobs[top_start:top_end] if num_top else None,
        text=None if row.finish_reason is None else row.text,
    )
