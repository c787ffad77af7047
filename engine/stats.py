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
    prompt_tokens: int = 0
