"""A gateway's settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    redis_url: str = dataclasses.field(repr=False)
    """Never shown: it may hold a password."""
    queue: str = "rowmill"
    """Of callers whose key names none."""
    model: str | None = None
    """The checkpoint's folder, or `demo`, for its tokenizer; None: prompts are token IDs."""
    model_name: str = "rowmill"
    """As callers know the model."""
    keys_file: Path | None = None
    """API keys; None: everybody on this machine may call."""
    data: Path | None = None
    """Folder of files and batches; None: there are none."""
    max_body_bytes: int = 16 * 2**20
    allowed_origins: tuple[str, ...] = ()
    """Of other sites' pages (CORS)."""
