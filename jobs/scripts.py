"""Lua scripts: changes that happen in the server at once or not at all."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio

SCRIPTS = ("cancel", "delete", "push")
"""Those of `jobs`."""


def script(connection: redis.Redis | redis.asyncio.Redis, name: str) -> Callable[..., Any]:
    """A function that runs `lua/<name>.lua` of `jobs` with the arguments that it describes."""
    return register_script(connection, "jobs", name)


def register_script(
    connection: redis.Redis | redis.asyncio.Redis, package: str, *names: str
) -> Callable[..., Any]:
    """A function that runs files of a package as one script, after `layout.lua`; as a part of a
    pipeline, if one is given as `client`. On a connection of asyncio it is awaited.

    Jobs' keys follow from their IDs, so no script declares keys: they need one server, as RQ does.
    """
    texts = [_text("jobs", "layout"), *(_text(package, name) for name in names)]
    run: Any = connection.register_script("".join(texts))
    return lambda *args, client=None: run(args=args, client=client)


def _text(package: str, name: str) -> str:
    return (files(package) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
