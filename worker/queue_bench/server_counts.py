"""What a server counts of its own work."""

from __future__ import annotations

import dataclasses
from typing import Any

import redis


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounts:
    """Of all its clients, since it started; a difference is what came between."""

    commands: float
    """That ran, also inside scripts."""
    reads: float
    """Of clients' sockets: one per round trip, or several where more is sent than 16 KiB."""
    bytes_in: float
    bytes_out: float

    @classmethod
    def of(cls, connection: redis.Redis) -> ServerCounts:
        stats: Any = connection.info("stats")
        return cls(
            commands=stats["total_commands_processed"],
            reads=stats["total_reads_processed"],
            bytes_in=stats["total_net_input_bytes"],
            bytes_out=stats["total_net_output_bytes"],
        )

    def __sub__(self, earlier: ServerCounts) -> ServerCounts:
        mine, its = dataclasses.asdict(self), dataclasses.asdict(earlier)
        return ServerCounts(**{name: mine[name] - its[name] for name in mine})

    def per(self, number: int) -> ServerCounts:
        """A share of them, such as a job's."""
        mine = dataclasses.asdict(self)
        return ServerCounts(**{name: value / number for name, value in mine.items()})
