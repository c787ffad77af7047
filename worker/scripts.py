"""The worker's Lua scripts: what happens in the server as a whole or not at all."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import redis
from rq.utils import now, utcformat

from jobs.scripts import register_script


def script(connection: redis.Redis, name: str) -> Callable[..., Any]:
    """A function that runs `lua/<name>.lua` with the arguments that it describes."""
    return register_script(connection, "worker", "prelude", name)


def now_text() -> str:
    """The time as RQ writes it."""
    return str(utcformat(now()))


def reason_field(text: str) -> bytes:
    """A reason for a failure as RQ stores it."""
    return b64encode(zlib.compress(text.encode()))
