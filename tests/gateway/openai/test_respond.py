"""Long answers are written where they keep nobody waiting."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.openai.answer import Answer
from gateway.openai.respond import written
from jobs import Row, SampledRows


class WhoWrites(Answer):
    def __init__(self) -> None:
        pass

    def whole(self, results: Sequence[SampledRows]) -> dict[str, Any]:
        return {"is_loop": threading.current_thread() is threading.main_thread()}


@pytest.mark.parametrize(
    ("num_tokens", "num_top", "is_loop"), [(100, 0, True), (5000, 0, False), (300, 20, False)]
)
def test_what_takes_long_is_written_on_a_thread(
    num_tokens: int, num_top: int, is_loop: bool
) -> None:
    """Likeliest tokens count: there may be twenty for each that was sampled."""
    fields: dict[str, Any] = {"tokens": (1,) * num_tokens, "masks": (1,) * num_tokens}
    if num_top:
        tops = num_top * num_tokens
        fields |= {"logprobs": (-1.0,) * num_tokens, "top_tokens": (1,) * tops}
        fields |= {"top_logprobs": (-1.0,) * tops}
    results = [SampledRows(rows=(Row(finish_reason="length", **fields),))]
    response = asyncio.run(written(WhoWrites(), results))
    assert json.loads(bytes(response.body)) == {"is_loop": is_loop}
