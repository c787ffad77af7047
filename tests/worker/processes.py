"""Processes that tests kill, and those that should be gone then."""

from __future__ import annotations

from typing import Any

import psutil
import redis


def server_pid(connection: redis.Redis) -> int:
    """Of the server; 0 while there is none, or it still reads its file."""
    try:
        connection.ping()  # unlike this, INFO is answered by one that is loading
        server: Any = connection.info("server")
    except redis.RedisError:
        return 0
    return int(server["process_id"])


def worker_pids(connection: redis.Redis, queue: str) -> set[int]:
    """Of those that serve the queue, by the records that they remove when they stop."""
    keys: Any = connection.smembers(f"rq:workers:{queue}")
    return {int(connection.hget(key, "pid") or 0) for key in keys}


def is_gone(pid: int) -> bool:
    """Whether it has ended, though its parent may not know it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
