"""The engine's settings."""

from __future__ import annotations

import dataclasses

from engine.checks import shown
from engine.errors import EngineError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """None of these but `row_tile` changes a row's tokens; the limits refuse requests.

    Raises EngineError naming a value out of range.
    """

    max_rows: int = 64
    """Most rows that run at once."""
    kv_budget_tokens: int | None = None
    """Memory for keys and values, in tokens; None: what a quarter of the free memory holds."""
    max_prefill_tokens: int = 2048
    """After so many prompt tokens a step takes no further chunk: running rows shall not stall."""
    prefix_cache: bool = True
    """Whether prompts' keys and values are kept for later prompts that begin alike, in what the
    rows leave of the KV budget. Models of nanochat's own interface have no such cache."""
    max_num_samples: int | None = None
    """Most rows that one request may ask for."""
    max_new_tokens: int | None = None
    """Most `max_tokens` that a request may ask for; None: what the context holds. With a limit, a
    request has to name its own: rows that were cut short in silence would depend on the engine."""
    row_tile: int | None = None
    """Rows of every product are padded to a multiple of it; None: what the probe finds. Setting it
    is for measuring what padding costs: the probe then tells whether the promise holds with it."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if type(field.default) is bool:
                if type(value) is not bool:
                    raise EngineError(f"{field.name} must be true or false, not {shown(value)}")
            elif type(value) is not int or value < 1:
                raise EngineError(
                    f"{field.name} must be an integer of at least 1, not {shown(value)}"
                )
