"""The body of a request as JSON, for routes that check it themselves."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from fastapi import Request

from gateway.errors import ApiError

_TYPE = "application/json"
_HALF_PAIR = re.compile(rb"\\u[dD]")
"""Perhaps half of a surrogate pair, which no text holds, and no job can."""
_MANY_BYTES = 2**16

Read = TypeVar("Read")


async def json_body(request: Request, read: Callable[[Any], Read]) -> Read:
    """What `read` makes of it; of a large one on a thread, so that other requests do not wait.

    Raises ApiError: 415 for another type than JSON, 400 for what is none; and what `read` does.
    """
    given = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if given != _TYPE:
        # A page of another site may send other types without being asked whether it may.
        raise ApiError(415, f"Content-Type: it must be {_TYPE}", param="Content-Type")
    raw = await request.body()
    if len(raw) > _MANY_BYTES:
        return await asyncio.to_thread(lambda: read(_parsed(raw)))
    return read(_parsed(raw))


def _parsed(raw: bytes) -> Any:
    try:
        body = json.loads(raw.decode(), parse_constant=_no_number)
        if _HALF_PAIR.search(raw):
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # also text that is no UTF-8
        raise ApiError(400, f"the body is not JSON: {error}", code="not_json") from error
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
