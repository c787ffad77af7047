"""BlockingServer: runs operations on a connection whose calls block their thread."""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import redis

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


class BlockingServer:
    """A server that cannot be reached raises ServerUnavailableError from both methods, unless the
    operation, which is told first, knows what to do."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection: Any = connection  # redis-py types some of its calls, and not all
        self._address = address_of(connection)
        self._scripts = {name: script(connection, name) for name in SCRIPTS}

    def run(self, operation: Operation[T]) -> T:
        go_on: Callable[[Any], Call] = operation.send
        answer: Any = None
        while True:
            try:
                call = go_on(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                go_on, answer = operation.send, self._answer(call)
            except ServerUnavailableError as error:
                go_on, answer = operation.throw, error

    def iterate(self, operation: Telling[T]) -> Iterator[T]:
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
                go_on, answer = operation.send, self._answer(asked)
            except ServerUnavailableError as error:
                go_on, answer = operation.throw, error

    def _answer(self, call: Call) -> Any:
        with server_errors(self._address):
            match call:
                case Command(words, options):
                    return self._connection.execute_command(*words, **options)
                case ScriptCall(name, arguments):
                    return self._scripts[name](*arguments)
                case Transaction(commands):
                    with self._connection.pipeline() as pipe:
                        for its in commands:
                            pipe.execute_command(*its.words, **its.options)
                        return pipe.execute()
                case Batch(commands):
                    with self._connection.pipeline(transaction=False) as pipe:
                        for its in commands:
                            pipe.execute_command(*its.words, **its.options)
                        return readable(pipe.execute(raise_on_error=False))
                case Pause(seconds):
                    time.sleep(seconds)
