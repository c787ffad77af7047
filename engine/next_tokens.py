"""The end of a step: every row takes its next token. Shape suffixes: R rows, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.controls.apply import controlled
from engine.logprobs import TokenLogprobs, drawn_logprobs, raw_logprobs
from engine.row_state import RowState
from engine.sampler import Draw, sample

_Taken = dict[int, int]
"""By place among the rows, the token that a row takes."""


def append_tokens(rows: Sequence[RowState], logits_RV: Tensor) -> None:
    """Sample for each row, and append the token that was drawn, or the one that its tool owes it.

    The logits are overwritten.

    Nothing is appended to any row where memory runs out: a row that ended here would be kept.
    """
    if not rows:
        return
    params = [row.request.params for row in rows]
    allowed_RV = controlled(
        logits_RV,
        [row.controls for row in rows],
        is_raw_needed=any(its.logprobs and its.logprobs_mode == "raw" for its in params),
    )
    draw = sample(allowed_RV, params, [row.uniform() for row in rows])
    logprobs = _wanted_logprobs(rows, draw, logits_RV)
    for place, (row, token) in enumerate(zip(rows, draw.tokens, strict=True)):
        row.append(token, logprobs.get(place))


def _wanted_logprobs(
    rows: Sequence[RowState], draw: Draw, logits_RV: Tensor
) -> dict[int, TokenLogprobs]:
    """By place among the rows, for those that keep them."""
    raw: _Taken = {}
    processed: _Taken = {}
    for place, (row, token) in enumerate(zip(rows, draw.tokens, strict=True)):
        if row.logprobs is not None and token is not None:
            kept = raw if row.request.params.logprobs_mode == "raw" else processed
            kept[place] = row.next_token(token)
    return _raw(rows, raw, logits_RV) | _processed(rows, processed, draw)


def _raw(rows: Sequence[RowState], taken: _Taken, logits_RV: Tensor) -> dict[int, TokenLogprobs]:
    if not taken:
        return {}
    wanted_RV = logits_RV if len(taken) == len(rows) else logits_RV[list(taken)]
    its = raw_logprobs(wanted_RV, list(taken.values()), _most_top(rows, taken))
    return dict(zip(taken, its, strict=True))


def _processed(rows: Sequence[RowState], taken: _Taken, draw: Draw) -> dict[int, TokenLogprobs]:
    if not taken:
        return {}
    weights_RV, totals = draw.weights_of(list(taken))
    its = drawn_logprobs(weights_RV, totals, list(taken.values()), _most_top(rows, taken))
    return dict(zip(taken, its, strict=True))


def _most_top(rows: Sequence[RowState], taken: _Taken) -> int:
    """As many of the likeliest tokens as some row wants: each takes as many as it does."""
    return max(rows[place].request.params.top_logprobs for place in taken)
