"""AsyncServer: runs operations on a connection whose calls are awaited."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import redis.asyncio

from jobs.connection import address_of, server_errors
from jobs.errors import ServerUnavailableError
from jobs.scripts import SCRIPTS, script
from jobs.server_call import (
    Batch,
    Call,
    Command,
    Item,
    Operation,
    Pause,
    ScriptCall,
    Telling,
    Transaction,
    readable,
)

T = TypeVar("T")

_CANCEL_AGAIN_SECONDS = 0.01


class AsyncServer:
    """BlockingServer for asyncio. Each call has a connection of its own while it lasts: a task that
    is cancelled in one closes it, as its answer may still come."""

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._connection: Any = connection  # redis-py types some of its calls, and not all
        self._address = address_of(connection)
        self._scripts = {name: script(connection, name) for name in SCRIPTS}

    async def run(self, operation: Operation[T]) -> T:
        go_on: Callable[[Any], Call] = operation.send
        answer: Any = None
        while True:
            try:
                call = go_on(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                go_on, answer = operation.send, await self._answer(call)
            except ServerUnavailableError as error:
                go_on, answer = operation.throw, error

    async def iterate(self, operation: Telling[T]) -> AsyncIterator[T]:
        """Asks the server as it goes: nothing happens before the first item is wanted."""
        go_on: Callable[[Any], Call | Item[T]] = operation.send
        answer: Any = None
        while True:
            try:
                asked = go_on(answer)
            except StopIteration:
                return
            if isinstance(asked, Item):
                yield asked.value
                go_on, answer = operation.send, None
                continue
            try:
                go_on, answer = operation.send, await self._answer(asked)
            except ServerUnavailableError as error:
                go_on, answer = operation.throw, error

    async def _answer(self, call: Call) -> Any:
        with server_errors(self._address):
            return await _cancellable(self._do(call))

    async def _do(self, call: Call) -> Any:
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
            case Batch(commands):
                async with self._connection.pipeline(transaction=False) as pipe:
                    for its in commands:
                        pipe.execute_command(*its.words, **its.options)
                    return readable(await pipe.execute(raise_on_error=False))
            case Pause(seconds):
                await asyncio.sleep(seconds)


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    """Do what may swallow a cancellation, as `asyncio.wait_for` does before Python 3.12 where what
    it waits for is done in the same moment: redis-py sends with it, and would wait for the answer.
    """
    if sys.version_info >= (3, 12):
        return await work
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_CANCEL_AGAIN_SECONDS)
        if not task.cancelled():
            task.exception()  # nobody is told
        raise
    return task.result()
