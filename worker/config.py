"""A worker's settings. Only this file reads the environment."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.job_options import MAX_PAYLOAD_BYTES
from jobs.names import check_queue_name

if TYPE_CHECKING:  # commands that run without torch read this file too
    from engine import EngineConfig

REDIS_VARIABLE = "ROWMILL_REDIS"

_LONGEST_LEASE = 3600
_LONGEST_BEAT = 10.0
_LONGEST_INTERVAL = 60
_POSITIVE = (
    *("result_ttl", "failure_ttl", "max_attempts", "max_payload_bytes"),
    *("stream_tokens", "stream_chunks"),
)
_LONGEST_DRAIN = 7 * 24 * 3600
_LONGEST_STALL = 24 * 3600
_LAST_PORT = 65535


class ConfigError(Exception):
    """A setting that is out of its range; the message names it and the limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    model: str
    """A checkpoint's folder, or `demo`."""
    redis_url: str = dataclasses.field(repr=False)
    """Never shown: it may hold a password."""
    engine: EngineConfig
    name: str | None = None
    """Of the worker; None: a random one."""
    queues: tuple[str, ...] = ("rowmill",)
    """In order of priority: as long as one has jobs, none is taken from those after it."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    dtype: str | None = None
    num_threads: int | None = None
    """Threads of torch; None: torch's default."""
    lease: float = 15.0
    """Seconds after its last heartbeat when a worker counts as dead and its jobs go to others."""
    result_ttl: int = 24 * 3600
    """Seconds for which rows are kept, where the job does not say."""
    failure_ttl: int = 7 * 24 * 3600
    """Seconds for which a failure is kept, where the job does not say."""
    max_attempts: int = 3
    """How often a job may take its worker down before it fails, where the job does not say."""
    drain_seconds: float = 25.0
    """How long what runs may go on after SIGTERM, before it goes back to the queue; Kubernetes
    kills after 30."""
    sends_webhooks: bool = True
    """Whether RQ's webhooks are sent: requests to URLs that producers choose."""
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    """Of a job as it is pushed, compressed or not; checked before it is transferred or read."""

    stream_interval: float = 0.05
    """Seconds between two pieces of a job that streams; its first tokens come at once."""
    stream_tokens: int = 32
    """As many new tokens of a row end the interval early."""
    stream_chunks: int = 10_000
    """Pieces of a job that the server keeps, about; who missed earlier ones has the result."""
    metrics_port: int | None = None
    """Where metrics and health are served by HTTP; 0: a free one; None: nowhere."""
    metrics_host: str = "127.0.0.1"
    stall_seconds: float = 120.0
    """After so long in one step a worker tells that it is not alive."""

    def __post_init__(self) -> None:
        if not self.queues or len(set(self.queues)) < len(self.queues):
            raise ConfigError("queues must be at least one, and each once")
        for queue in self.queues:
            check_queue_name(queue)
        if not 1 <= self.lease <= _LONGEST_LEASE:
            raise ConfigError(f"lease must be from 1 to {_LONGEST_LEASE} s, not {self.lease:g}")
        if not 0 <= self.drain_seconds <= _LONGEST_DRAIN:
            raise ConfigError(
                f"drain_seconds must be from 0 to {_LONGEST_DRAIN}, not {self.drain_seconds:g}"
            )
        if not 0 <= self.stream_interval <= _LONGEST_INTERVAL:
            raise ConfigError(
                f"stream_interval must be from 0 to {_LONGEST_INTERVAL} s, "
                f"not {self.stream_interval:g}"
            )
        if self.metrics_port is not None and not 0 <= self.metrics_port <= _LAST_PORT:
            raise ConfigError(
                f"metrics_port must be from 0 to {_LAST_PORT}, not {self.metrics_port}"
            )
        if not 1 <= self.stall_seconds <= _LONGEST_STALL:
            raise ConfigError(
                f"stall_seconds must be from 1 to {_LONGEST_STALL}, not {self.stall_seconds:g}"
            )
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def model_name(self) -> str:
        """What its metrics call the model: the checkpoint's folder without the way to it."""
        return Path(self.model).name or self.model

    @property
    def heartbeat_interval(self) -> float:
        """Seconds: several beats fit into a lease, so that one that is lost does no harm."""
        return min(self.lease / 5, _LONGEST_BEAT)


def redis_from_environment() -> str | None:
    """The server's URL from ROWMILL_REDIS: keeps a password off the command line."""
    return os.environ.get(REDIS_VARIABLE) or None
