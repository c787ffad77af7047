"""Patience: to go on where the server was away for a while."""

import time
from collections.abc import Generator
from typing import Any, TypeVar

from jobs.errors import LoginRefusedError, PermissionDeniedError, ServerUnavailableError
from jobs.server_call import Call, Item, Operation, Pause

R = TypeVar("R")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between one call and the next."""


def patient(operation: Generator[Any, Any, R], seconds: float) -> Generator[Any, Any, R]:
    """The operation, each of whose calls is made again until the server answers it.

    For so many seconds; then ServerUnavailableError. Only for what changes nothing in the server:
    a call that it did not answer may have been done.
    """
    answer: Any = None
    while True:
        try:
            asked = operation.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        answer = (yield asked) if isinstance(asked, Item) else (yield from _answer(asked, seconds))


def _answer(call: Call, seconds: float) -> Operation[Any]:
    give_up_at, pause = None, _FIRST_PAUSE
    while True:
        try:
            return (yield call)
        except (LoginRefusedError, PermissionDeniedError):
            raise  # time does not change these
        except ServerUnavailableError:
            now = time.monotonic()
            give_up_at = give_up_at or now + seconds
            if now >= give_up_at:
                raise
        yield Pause(min(pause, give_up_at - now))
        pause = min(2 * pause, _LONGEST_PAUSE)
