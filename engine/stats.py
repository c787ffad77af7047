"""What an engine counts."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class EngineStats:
    """Counts since the engine was made."""

    steps: int = 0
    tokens: int = 0
    """Tokens that rows took, forced ones included. One row takes at most one per step, so
    tokens / steps is the mean number of rows per step."""
    started_rows: int = 0
    """Rows that took their first token; a row that starts over takes it again."""
    prompt_tokens: int = 0
    """Prompt tokens that were computed: those that the prefix cache missed, or all without one."""
    cached_prompt_tokens: int = 0
    """Prompt tokens that were found in the prefix cache instead."""
    memory_shortages: int = 0
    """How often memory ran out in a step, so that rows started over."""
    restarted_rows: int = 0
    """Rows that did so; what they had taken stays counted in `tokens`."""
