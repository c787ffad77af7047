"""nanochat's view of rows that run side by side: a column per position."""

from __future__ import annotations

from engine.state import RequestState


def column_of(state: RequestState, position: int) -> tuple[list[int], list[int]] | None:
    """All rows' tokens and masks at a position; None where some are missing or all have ended."""
    if state.num_pending or all(len(row.tokens) <= position for row in state.rows):
        return None
    tokens, masks = [], []
    for row in state.rows:
        if position < row.num_settled:
            tokens.append(row.tokens[position])
            masks.append(row.masks[position])
        elif row.is_finished:
            tokens.append((row.tokens or state.request.prompt_tokens)[-1])
            masks.append(0)
        else:
            return None
    return tokens, masks
