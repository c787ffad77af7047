"""The one clock that all processes of a bench can read."""

from __future__ import annotations

import redis


def server_time(connection: redis.Redis) -> float:
    """Seconds by the server's clock."""
    seconds, microseconds = connection.time()
    return float(seconds + microseconds / 1e6)
