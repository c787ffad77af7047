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

_MANY_TOKENS = 2**12
"""Sampled, and likeliest beside them, each of which takes microseconds to write."""
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
    services.metrics.tokens.inc(sum(len(row.tokens) for its in results for row in its.rows))
    return await written(answer, results)


async def written(answer: Answer, results: Sequence[SampledRows]) -> Response:
    """A whole answer; a long one is written on a thread, so that other requests do not wait."""

    def write() -> Response:
        return JSONResponse(answer.whole(results))

    rows = (row for its in results for row in its.rows)
    num_tokens = sum(len(row.tokens) + len(row.top_tokens or ()) for row in rows)
    return await asyncio.to_thread(write) if num_tokens > _MANY_TOKENS else write()


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
