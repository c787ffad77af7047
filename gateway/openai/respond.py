"""From a request to its answer, whole or streamed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from uuid import uuid4

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from gateway.attended import attended
from gateway.caller import Caller
from gateway.event_stream import EventStream, event
from gateway.json_body import json_body
from gateway.openai.answer import Answer, Format
from gateway.openai.asked import Asked, Served
from gateway.openai.running import Running
from gateway.services import Services
from jobs import SampledRows

_MANY_TOKENS = 2**14
"""Beyond these a thread does the work, so that other requests do not wait for it."""
_DONE = b"data: [DONE]\n\n"

Read = Callable[[object, Served], Asked]


async def respond(
    request: Request, services: Services, caller: Caller, read: Read, kind: type[Format]
) -> Response:
    """Raises ApiError for what comes to no answer, before a stream has begun, and
    ClientDisconnect where the caller leaves."""
    asked = await json_body(request, lambda body: read(body, services.served))
    key = uuid4().hex
    answer = Answer(services.served, asked, kind, key=key, created=int(time.time()))
    running = Running(services, caller, asked, key)
    await running.start()
    if asked.is_stream:
        events = _events(running, answer, asked)
        return EventStream(events, services.shutdown, services.config.heartbeat_seconds)
    try:
        results = await attended(request, services.shutdown, running.results())
    finally:
        await running.cancel()
    num_tokens = _num_tokens(results)
    services.metrics.tokens.inc(num_tokens)
    if num_tokens > _MANY_TOKENS:
        return JSONResponse(await asyncio.to_thread(answer.whole, results))
    return JSONResponse(answer.whole(results))


async def _events(running: Running, answer: Answer, asked: Asked) -> AsyncGenerator[bytes, None]:
    """The chunks of a streamed answer. Raises ApiError, for the stream to tell."""
    try:
        async with contextlib.aclosing(running.deltas()) as deltas:
            async for prompt, delta in deltas:
                for chunk in answer.chunks(prompt, delta):
                    yield event(chunk)
        if asked.has_usage_chunk:
            yield event(answer.last_chunk(await running.results()))
        yield _DONE
    finally:
        await running.cancel()


def _num_tokens(results: Sequence[SampledRows]) -> int:
    return sum(len(row.tokens) for result in results for row in result.rows)
