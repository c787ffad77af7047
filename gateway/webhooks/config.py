"""Settings of the process that sends webhooks."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from jobs.names import check_queue_name


class WebhooksConfigError(Exception):
    """A setting that can't be used; the message names it and the limit, and holds no secret."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksConfig:
    """Raises WebhooksConfigError, or InvalidJobError for a queue's name."""

    redis_url: str = dataclasses.field(repr=False)
    """Never shown: it may hold a password."""
    queue: str = "rowmill"
    allowed_hosts: tuple[str, ...] = ()
    """Patterns of names, as in `*.example.com`; none: all hosts."""
    allows_private: bool = False
    """Whether to send to loopback and private addresses, too."""
    ca_file: Path | None = None
    """Authorities to trust in place of the system's."""
    max_at_once: int = 64
    """Webhooks that are being sent or wait for their turn at a host."""
    max_per_host: int = 8
    """Requests to one host at a time."""
    connect_timeout: float = 5.0
    timeout: float = 15.0
    """Of a whole attempt."""
    max_attempts: int = 12
    first_retry: float = 5.0
    """Seconds after the first attempt; then three times as long after each."""
    longest_retry: float = 6 * 3600.0
    """With the defaults the last attempt is about a day after the first."""
    poll_seconds: float = 0.5
    """Between looks at an empty queue."""

    def __post_init__(self) -> None:
        check_queue_name(self.queue)
        for name in ("max_at_once", "max_per_host"):
            self._check(name, 1, 1024)
        self._check("max_attempts", 1, 100)
        for name in ("connect_timeout", "timeout"):
            self._check(name, 0.1, 300)
        for name in ("first_retry", "longest_retry", "poll_seconds"):
            # A mark lasts a week from its last attempt.
            self._check(name, 0.01, 3 * 24 * 3600)

    def _check(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and least <= value <= most):
            raise WebhooksConfigError(f"{name} must be from {least:g} to {most:g}, not {value:g}")

    @property
    def lease(self) -> float:
        """Seconds until a claim is another's. One waits behind at most as many as are sent at once,
        so for one attempt's time, and is then sent within another."""
        return 4 * self.timeout
