"""How much a gateway bench measures."""

from __future__ import annotations

import dataclasses

from bench.errors import BenchConfigError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBenchConfig:
    """Raises BenchConfigError naming the first bad field."""

    requests: int = 300
    """Of each kind, by turns, one at a time."""
    streams: int = 500
    """At once."""
    rounds: int = 5
    """Of so many streams: whether memory grows shows from one to the next."""
    stream_tokens: int = 32
    max_rows: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise BenchConfigError(f"{field.name} must be at least 1")

    @classmethod
    def quick(cls) -> GatewayBenchConfig:
        """A smoke test; the figures mean nothing."""
        return cls(requests=3, streams=4, rounds=2, stream_tokens=8, max_rows=8)
