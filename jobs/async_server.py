"""AsyncServer: runs operations on a connection whose calls are awaited."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import redis.asyncio

from jobs.connection import address_of, server_errors
from jobs.scripts import SCRIPTS, script
from jobs.server_call import (
    Call,
    Command,
    Item,
    Operation,
    Pause,
    ScriptCall,
    Telling,
    Transaction,
)

T = TypeVar("T")


class AsyncServer:
    """BlockingServer for asyncio. Each call has a connection of its own while it lasts: a task that
    is cancelled in one closes it, as its answer may still come."""

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._connection: Any = connection  # redis-py types some of its calls, and not all
        self._address = address_of(connection)
        self._scripts = {name: script(connection, name) for name in SCRIPTS}

    async def run(self, operation: Operation[T]) -> T:
        answer: Any = None
        while True:
            try:
                call = operation.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._answer(call)

    async def iterate(self, operation: Telling[T]) -> AsyncIterator[T]:
        """Asks the server as it goes: nothing happens before the first item is wanted."""
        answer: Any = None
        while True:
            try:
                asked = operation.send(answer)
            except StopIteration:
                return
            if isinstance(asked, Item):
                yield asked.value
                answer = None
            else:
                answer = await self._answer(asked)

    async def _answer(self, call: Call) -> Any:
        with server_errors(self._address):
            match call:
                case Command(words, options):
                    return await self._connection.execute_command(*words, **options)
                case ScriptCall(name, arguments):
                    return await self._scripts[name](*arguments)
                case Transaction(commands):
                    async with self._connection.pipeline() as pipe:
                        for its in commands:
                            pipe.execute_command(*its.words, **its.options)
                        return await pipe.execute()
                case Pause(seconds):
                    await asyncio.sleep(seconds)
