"""The end of a step: every row takes its next token. Shape suffixes: R rows, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.logprobs import token_logprobs
from engine.sampler import sample
from engine.state import RowState


def append_tokens(rows: Sequence[RowState], logits_RV: Tensor) -> None:
    """Sample for each row, and append the token that was drawn, or the one that its tool owes it.

    Nothing is appended to any row where memory runs out: a row that ended here would be kept.
    """
    if not rows:
        return
    params = [row.request.params for row in rows]
    tokens = sample(logits_RV, params, [row.uniform() for row in rows])
    logprobs = _wanted_logprobs(rows, tokens, logits_RV)
    for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        row.append(token, logprobs.get(place))


def _wanted_logprobs(
    rows: Sequence[RowState], sampled: Sequence[int | None], logits_RV: Tensor
) -> dict[int, float]:
    """By place among the rows, that of the token that the row takes, for those that keep them."""
    taken = {
        place: row.next_token(token)
        for place, (row, token) in enumerate(zip(rows, sampled, strict=True))
        if row.logprobs is not None and token is not None
    }
    if not taken:
        return {}
    wanted_RV = logits_RV if len(taken) == len(rows) else logits_RV[list(taken)]
    return dict(zip(taken, token_logprobs(wanted_RV, list(taken.values())), strict=True))
