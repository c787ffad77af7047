"""A delta in parts, for readers who want to set forced tokens apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import groupby

from jobs import RowDelta
from vocab.token_name import TokenNames


def parts(delta: RowDelta, names: TokenNames) -> Iterator[tuple[RowDelta, str | None]]:
    """Cut where masks change, and before and behind each special token, whose name is told.

    Together the parts are the delta; one without tokens stays as it is.
    """
    ends = [*_ends(delta, names)] or [(0, None)]
    start = 0
    for end, special in ends:
        yield _between(delta, start, end), special
        start = end


def _ends(delta: RowDelta, names: TokenNames) -> Iterator[tuple[int, str | None]]:
    """Where each part ends, and the name of a part that is a special token."""

    def kind(place: int) -> tuple[int, str | None, int]:
        special = names.special(delta.tokens[place])
        return delta.masks[place], special, -1 if special is None else place

    for (_, special, _), places in groupby(range(len(delta.tokens)), key=kind):
        yield [*places][-1] + 1, special


def _between(delta: RowDelta, start: int, end: int) -> RowDelta:
    """What ends a row comes with its last token."""
    num_tokens = len(delta.tokens)
    if (start, end) == (0, num_tokens):
        return delta
    num_top = len(delta.top_tokens or ()) // num_tokens
    top = slice(start * num_top, end * num_top)
    is_last = end == num_tokens
    return dataclasses.replace(
        delta,
        start=delta.start + start,
        tokens=delta.tokens[start:end],
        masks=delta.masks[start:end],
        logprobs=None if delta.logprobs is None else delta.logprobs[start:end],
        top_tokens=None if delta.top_tokens is None else delta.top_tokens[top],
        top_logprobs=None if delta.top_logprobs is None else delta.top_logprobs[top],
        finish_reason=delta.finish_reason if is_last else None,
        text=delta.text if is_last else None,
    )
