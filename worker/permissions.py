"""What a worker has to be permitted, asked at its start: rows it can't store are made for nothing.

The server's own refusal of a key does not name the key, and comes only when a job needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import chain
from typing import Any

import redis

from jobs.connection import address_of
from jobs.errors import PermissionDeniedError

_OF_RQ = {
    *("blmove", "del", "exec", "exists", "expire", "hexists", "hget", "hgetall", "hset", "hsetnx"),
    *("multi", "sadd", "smembers", "srem", "watch", "zadd", "zrange", "zrem", "zremrangebyscore"),
    *("set", "zrangebyscore"),
}
"""Commands that are sent by themselves, by us or by RQ."""
_SCRIPTED = re.compile(r"redis\.p?call\('(\w+)'")
_KEYLESS = {"exec", "multi", "time"}
_A_JOB = "rq:job:a"
_KEYS = (
    *("rq:results:a", "rq:execution:a", "rq:executions:a", "rq:worker:a", "rq:workers"),
    *("rq:queues", "rowmill:a"),
)
_KEYS_OF_A_QUEUE = ("queue", "wip", "scheduled", "finished", "failed", "workers")
_CHANNEL = "rq:pubsub:a"


def check_permissions(connection: redis.Redis, queues: Iterable[str]) -> None:
    """Raises PermissionDeniedError that names each command, key and channel that is denied.

    A server older than Redis 7 can't be asked; there, this asks nothing.
    """
    denied = _denied_commands(connection) or _denied_keys(connection, queues)
    if denied:
        user = connection.get_connection_kwargs().get("username") or "default"
        raise PermissionDeniedError(
            address_of(connection), f"user {user} lacks {', '.join(denied)}"
        )


def _denied_commands(connection: redis.Redis) -> list[str]:
    """Tried on a job's key; where all fail there, it is for the key."""
    commands = sorted(_OF_RQ | _commands_of_scripts())
    denied = _ask(connection, [(command, _A_JOB) for command in commands])
    if len(denied) >= len(commands) - len(_KEYLESS):
        return ["the keys rq:job:*"]
    # Also where this very script is on the server already, so that asking needed neither.
    denied += _ask(connection, [("script", "load"), ("script", "exists")])
    return [f"the command {_command(*one)}" for one in denied]


def _denied_keys(connection: redis.Redis, queues: Iterable[str]) -> list[str]:
    keys = [
        *_KEYS,
        *(
            f"rq:{kind}:{queue}{tenant}"
            for queue in queues
            for tenant in ("", "@a")
            for kind in _KEYS_OF_A_QUEUE
        ),
    ]
    asked = [(command, key) for key in keys for command in ("hget", "del")]
    denied = _ask(connection, [*asked, ("exists", "rq:suspended"), ("subscribe", _CHANNEL)])
    ways = {"hget": "reading", "del": "writing", "exists": "reading", "subscribe": "listening to"}
    return [f"{ways[command]} {_pattern(target)}" for command, target in denied]


def _ask(connection: redis.Redis, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    script = (files("worker") / "lua" / "permissions.lua").read_text(encoding="utf-8")
    denied: Any = connection.register_script(script)([], list(chain.from_iterable(wanted)))
    return [wanted[position] for position in denied]


def _commands_of_scripts() -> set[str]:
    folder = files("worker") / "lua"
    texts = [files("jobs") / "lua" / "layout.lua", *folder.iterdir()]
    commands = (_SCRIPTED.findall(text.read_text(encoding="utf-8")) for text in texts)
    return {name.lower() for name in chain.from_iterable(commands)}


def _command(name: str, target: str) -> str:
    return f"{name}|{target}" if name == "script" else name


def _pattern(target: str) -> str:
    return f"{target[:-1]}*" if target.endswith(":a") else target
