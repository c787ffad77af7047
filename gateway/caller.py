"""Caller: who asks, and what that one may do."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`tenant`: the name of the API key; None where no key is asked for."""

    tenant: str | None = None
    queue: str = "rowmill"
    priority: int = 1
    rows_per_minute: int | None = None
    tokens_per_minute: int | None = None
