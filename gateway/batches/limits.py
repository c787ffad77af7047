"""BatchLimits: how much callers may store and have done at once."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Defaults are OpenAI's where it has one."""

    max_stored_bytes: int = 10 * 2**30
    """Of one caller's files, beyond which that one can't upload more."""
    max_lines: int = 50_000
    max_active: int = 16
    """Batches of one caller that have not ended."""
    at_once: int = 4
    """Batches that this gateway samples; others wait."""
    in_flight: int = 256
    """Jobs of one batch that are in the queue or with workers."""
    window_seconds: float = 86_400.0
    """From a batch's creation until it expires."""
