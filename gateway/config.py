"""A gateway's settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from gateway.batches.limits import BatchLimits
from jobs.names import check_queue_name

_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.\[\]:-]+")
_MOST_BYTES = 2**40
_LONGEST = 24 * 3600.0


class GatewayConfigError(Exception):
    """A setting that is out of its range; the message names it and the limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Raises GatewayConfigError, or InvalidJobError for a queue's name."""

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
    max_queued: int | None = None
    """Most jobs that wait for a worker, of each tenant; None: no limit."""
    result_ttl: int = 24 * 3600
    """Seconds for which jobs of Rowmill's own API are kept after their end."""
    answer_ttl: int = 3600
    """Likewise those of OpenAI's, whose rows the caller has then: for who looks into them."""
    max_body_bytes: int = 16 * 2**20
    """Of a request's body."""
    max_file_bytes: int = 200 * 2**20
    """Of a file that is uploaded."""
    batches: BatchLimits = dataclasses.field(default_factory=BatchLimits)
    allows_private_webhooks: bool = False
    """Whether a job's webhook may name a loopback or private address; see `rowmill webhooks`."""
    body_seconds: float = 60.0
    """Longest wait for the next piece of a body."""
    allowed_origins: tuple[str, ...] = ()
    """Of other sites' pages that may call (CORS)."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which callers may know this server; empty: any. Where no key is asked for, another
    name is how a page of another site would come here."""
    max_wait_seconds: float = 60.0
    """Longest that a request may wait for a job by `?wait=`."""
    heartbeat_seconds: float = 15.0
    """A stream with no news says so this often, so that nobody between closes it."""
    patience_seconds: float = 30.0
    """How long an answer that waits for rows outlasts a server that is away."""
    stall_seconds: float = 300.0
    """After how long without any byte taken a connection is cut off."""
    drain_seconds: float = 20.0
    """How long open requests may go on after SIGTERM; then they end with an error."""

    def __post_init__(self) -> None:
        check_queue_name(self.queue)
        for name in ("max_body_bytes", "max_file_bytes"):
            self._check(name, 1, _MOST_BYTES)
        for name, value in dataclasses.asdict(self.batches).items():
            if value <= 0:
                raise GatewayConfigError(f"batches.{name} must be above 0, not {value:g}")
        if self.max_queued is not None:
            self._check("max_queued", 1, 2**31 - 1)
        for name in ("result_ttl", "answer_ttl"):
            self._check(name, 1, 2**31 - 1)
        self._check("max_wait_seconds", 0, _LONGEST)
        self._check("heartbeat_seconds", 0.01, _LONGEST)
        self._check("patience_seconds", 0, _LONGEST)
        self._check("stall_seconds", 1, _LONGEST)
        self._check("drain_seconds", 0, _LONGEST)
        self._check("body_seconds", 0.01, _LONGEST)
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                raise GatewayConfigError(
                    f"allowed_origins: {origin!r} must be like https://example.com, or *"
                )

    def _check(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise GatewayConfigError(f"{name} must be from {least:g} to {most:g}, not {value:g}")
