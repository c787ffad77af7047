"""What is asked of the server, as data.

An operation is a generator: it yields calls, is sent their answers, and returns what its caller
wants to know. It waits for nothing itself, so that one text serves threads and asyncio alike:
blocking_server.py and async_server.py make the calls for it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import redis

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """One command, word by word; `options` tell redis-py how to read the answer."""

    words: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """`lua/<name>.lua` with the arguments that it describes."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """Commands that happen at once, in one round trip; answered with a list."""

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands that read, one by one, in one round trip; answered with a list, in which None stands
    for what is under a key of another type, as anybody may have put it there."""

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of the server for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """What an operation that goes on gives its caller."""

    value: T


Call = Command | ScriptCall | Transaction | Batch | Pause

Operation = Generator[Call, Any, T]
"""Returns a T."""

Telling = Generator[Call | Item[T], Any, None]
"""Gives any number of T, one by one."""


def command(*words: Any, **options: Any) -> Command:
    return Command(words, options)


def readable(answers: list[Any]) -> list[Any]:
    """The answers to a Batch. Raises the first that is an error of the server's."""
    for answer in answers:
        if isinstance(answer, redis.RedisError) and not str(answer).startswith("WRONGTYPE"):
            raise answer
    return [None if isinstance(answer, redis.RedisError) else answer for answer in answers]


def read_streams(
    newest: Mapping[str, str], seconds: float, most: int | None = None
) -> Operation[dict[str, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Blocks until a stream has entries newer than given, at most `seconds`.

    Returns the new entries by stream, at most `most` of each; nothing if time ran out.
    """
    count = () if most is None else ("COUNT", most)
    # Never 0 milliseconds: that means for ever.
    block = ("BLOCK", max(1, int(seconds * 1000)))
    news = yield command("XREAD", *count, *block, "STREAMS", *newest, *newest.values())
    return {stream.decode(): entries for stream, entries in dict(news or {}).items()}
