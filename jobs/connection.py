"""The connection to the server: opened or taken over, checked, named, and its errors translated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.errors import (
    InvalidJobError,
    LoginRefusedError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from jobs.server_url import FORMS, check_url

CONNECT_TIMEOUT = 5.0
"""Seconds until a server that does not answer a connection is called unavailable."""

COMMAND_TIMEOUT = 15.0
"""Seconds until a server that does not answer a command is called unavailable."""

MAX_BLOCK = 5.0
"""The longest that one blocking read waits, in seconds."""

_MOST_CONNECTIONS = 2**31
"""Of one client: redis-py's own limit of 100 would end the hundred-and-first wait at once."""

Connection = redis.Redis | redis.asyncio.Redis
_Kind = TypeVar("_Kind", redis.Redis, redis.asyncio.Redis)

_UNAVAILABLE = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.InvalidResponse,
    redis.exceptions.OutOfMemoryError,
    redis.ReadOnlyError,
)
_LOGIN_REFUSED = (
    redis.AuthenticationError,
    redis.exceptions.AuthenticationWrongNumberOfArgsError,
)
_DENIED_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")
_NO_DATABASE = "DB index is out of range"
_NO_LOGIN = "HELLO must be called with the client already authenticated"
_ECHO = ", with args beginning with"


def open_connection(url: str) -> redis.Redis:
    """Prepares a connection to a redis://, rediss:// or unix:// URL; nothing is sent yet.

    It never repeats a command by itself: whether a lost reply may be asked for again is for the
    caller to know. Raises InvalidJobError for a bad URL, without a part of it.
    """
    return _open(redis.Redis, url, Retry(NoBackoff(), 0))


def open_async_connection(url: str) -> redis.asyncio.Redis:
    """The same for asyncio."""
    return _open(redis.asyncio.Redis, url, AsyncRetry(NoBackoff(), 0))


def _open(kind: type[_Kind], url: str, retry: object) -> _Kind:
    check_url(url)
    settings: dict[str, Any] = {
        "retry": retry,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": COMMAND_TIMEOUT,
        "max_connections": _MOST_CONNECTIONS,
    }
    try:
        return kind.from_url(url, **settings)
    except (ValueError, TypeError):
        # Neither the URL nor the cause is shown: both may hold a part of the password.
        raise InvalidJobError("url", "this URL", FORMS) from None


def with_timeout(connection: redis.Redis, seconds: float) -> redis.Redis:
    """Another connection to the same server, which waits so long for an answer."""
    pool = connection.connection_pool
    known = {**pool.connection_kwargs, "socket_timeout": seconds}
    known["socket_connect_timeout"] = seconds
    return redis.Redis(connection_pool=type(pool)(connection_class=pool.connection_class, **known))


def check_connection(connection: object, kind: type[_Kind]) -> _Kind:
    """Refuses what is no connection of a kind, or what RQ cannot work with."""
    if not isinstance(connection, kind):
        name = "redis.Redis" if kind is redis.Redis else "redis.asyncio.Redis"
        raise InvalidJobError("connection", type(connection).__name__, f"a URL or a {name}")
    if connection.connection_pool.connection_kwargs.get("decode_responses"):
        raise InvalidJobError(
            "connection", "decode_responses=True", "decode_responses=False: payloads are bytes"
        )
    return connection


def address_of(connection: Connection) -> str:
    """Where the server is, without a password."""
    known = connection.connection_pool.connection_kwargs
    if "path" in known:
        return f"unix://{known['path']}"
    address = f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
    encrypted = (redis.SSLConnection, redis.asyncio.SSLConnection)
    is_encrypted = issubclass(connection.connection_pool.connection_class, encrypted)
    return f"{address} (TLS)" if is_encrypted else address


def longest_block(connection: Connection) -> float:
    """How long a blocking read may wait, in seconds, and leave the socket's timeout alone."""
    # A connection whose settings say nothing has redis-py's default of 5 seconds.
    socket_timeout = connection.connection_pool.connection_kwargs.get("socket_timeout", 5.0)
    return MAX_BLOCK if socket_timeout is None else min(MAX_BLOCK, float(socket_timeout) / 2)


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Turns what hinders every command into a ServerUnavailableError.

    That is: the server can't be reached or takes no writes, LoginRefusedError, and
    PermissionDeniedError. Their texts hold no password.
    """
    try:
        yield
    except redis.RedisError as error:
        translated = _translated(_refusal(error), address)
        if translated is None:
            raise
        # What the server echoes may be the login, so a traceback must not show it either.
        raise translated from (None if _ECHO in str(error) else error)


def _refusal(error: redis.RedisError) -> redis.RedisError:
    """What the server said, where redis-py's asyncio wraps it as one more failure to connect."""
    cause = error.__cause__
    return cause if isinstance(cause, redis.RedisError) and error.args == (cause,) else error


def _translated(error: redis.RedisError, address: str) -> ServerUnavailableError | None:
    text = str(error)
    # A server that does not know HELLO or AUTH repeats what it was sent: the password.
    reason = text.partition(_ECHO)[0].rstrip(".")
    if isinstance(error, _LOGIN_REFUSED):
        is_missing = text.startswith(_NO_LOGIN)
        return LoginRefusedError(address, "it wants a password" if is_missing else reason)
    is_denied_in_script = any(words in text for words in _DENIED_IN_SCRIPT)
    if is_denied_in_script or isinstance(error, redis.exceptions.NoPermissionError):
        return PermissionDeniedError(address, reason)
    if isinstance(error, _UNAVAILABLE) or _ECHO in text or text.startswith(_NO_DATABASE):
        return ServerUnavailableError(address, reason)
    return None
