"""nanochat's view of rows that run side by side: a column per position."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import uuid4

from engine.request import Request
from engine.sampling_params import SamplingParams
from engine.state import RequestState


def stream_request(
    tokens: list[int], num_samples: int, params: dict[str, Any], max_seq_len: int
) -> Request:
    """What `Engine.generate` asks for, with `max_tokens` cut to what the context holds."""
    asked = SamplingParams(**params)
    room = max_seq_len - len(tokens)
    if asked.max_tokens is not None and asked.max_tokens > room > 0:
        asked = dataclasses.replace(asked, max_tokens=room)
    return Request(
        id=f"generate-{uuid4().hex}", prompt_tokens=tokens, num_samples=num_samples, params=asked
    )


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
