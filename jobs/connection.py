"""The connection to the server: opened or taken over, checked, named, and its errors translated."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.errors import InvalidJobError, ServerUnavailableError

CONNECT_TIMEOUT = 5.0
"""Seconds until a server that does not answer a connection is called unavailable."""

COMMAND_TIMEOUT = 15.0
"""Seconds until a server that does not answer a command is called unavailable."""

MAX_BLOCK = 5.0
"""The longest that one blocking read waits, in seconds."""

_UNAVAILABLE = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.ReadOnlyError,
)


def open_connection(url: str) -> redis.Redis:
    """Prepares a connection to a redis://, rediss:// or unix:// URL; nothing is sent yet.

    It never repeats a command by itself: whether a lost reply may be asked for again is for the
    caller to know.
    """
    try:
        return redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=COMMAND_TIMEOUT,
        )
    except (ValueError, TypeError):
        # Neither the URL nor the cause is shown: both may hold a part of the password.
        allowed = "redis://[user:password@]host[:port][/db], rediss://… or unix://path"
        raise InvalidJobError("url", "this URL", allowed) from None


def check_connection(connection: object) -> redis.Redis:
    """Refuses what RQ cannot work with."""
    if not isinstance(connection, redis.Redis):
        raise InvalidJobError("connection", type(connection).__name__, "a URL or a redis.Redis")
    if connection.get_connection_kwargs().get("decode_responses"):
        raise InvalidJobError(
            "connection", "decode_responses=True", "decode_responses=False: payloads are bytes"
        )
    return connection


def address_of(connection: redis.Redis) -> str:
    """Where the server is, without a password."""
    known = connection.get_connection_kwargs()
    if "path" in known:
        return f"unix://{known['path']}"
    return f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"


def longest_block(connection: redis.Redis) -> float:
    """How long a blocking read may wait, in seconds, and leave the socket's timeout alone."""
    # A connection whose settings say nothing has redis-py's default of 5 seconds.
    socket_timeout = connection.get_connection_kwargs().get("socket_timeout", 5.0)
    return MAX_BLOCK if socket_timeout is None else min(MAX_BLOCK, float(socket_timeout) / 2)


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Turns "cannot be reached" and "takes no writes" into ServerUnavailableError."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise ServerUnavailableError(address, str(error)) from error
