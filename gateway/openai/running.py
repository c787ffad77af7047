"""Running: a request's jobs, from when they are queued until nobody waits for them any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from gateway.caller import Caller
from gateway.openai.asked import Asked, as_asked
from gateway.services import Services
from gateway.submission import submit
from jobs import (
    InvalidJobError,
    JobNotFoundError,
    JobsError,
    RowDelta,
    SampledRows,
    ServerUnavailableError,
)

_MOST_STREAMS = 64
"""Read at once for one request; what the others tell waits for its turn on the server."""
_MOST_DELTAS = 256
"""Read and not yet sent. A caller who reads slowly slows down the reading, not the worker."""

Item = TypeVar("Item")
_News = tuple[int, RowDelta] | int | Exception


class Running:
    """`job_ids`: in the order of the request's prompts."""

    def __init__(self, services: Services, caller: Caller, asked: Asked, key: str) -> None:
        """`key`: the first job's ID; the others' have their prompt's index behind it."""
        self._services = services
        self._caller = caller
        self._asked = asked
        self._client = services.client(caller.queue, is_awaited=True)
        others = (f"{key}-{index}" for index in range(1, len(asked.jobs)))
        self.job_ids = [key, *others]
        self._open: set[str] = set()
        """Those that are cancelled where nobody waits any more."""

    async def start(self) -> None:
        """Queue the jobs. Raises ApiError; then none of them goes on."""
        self._open = set(self.job_ids)
        try:
            jobs = self._asked.jobs
            await submit(self._services, self._caller, jobs, self.job_ids, is_awaited=True)
        except InvalidJobError as error:
            self._open.clear()  # nothing was queued
            raise as_asked(error, self._asked.names) from error
        except JobsError as error:
            await self.cancel()
            raise as_asked(error, self._asked.names) from error
        except BaseException:
            await self.cancel()
            raise

    async def results(self) -> list[SampledRows]:
        """Of all jobs, in their order. Raises ApiError for the first that has none."""
        found: dict[str, SampledRows] = {}
        async with _closing(self._client.results(self.job_ids)) as outcomes:
            async for job_id, outcome in outcomes:
                self._open.discard(job_id)
                if isinstance(outcome, JobsError):
                    raise as_asked(outcome, self._asked.names)
                found[job_id] = outcome
        return [found[job_id] for job_id in self.job_ids]

    async def deltas(self) -> AsyncGenerator[tuple[int, RowDelta], None]:
        """Of all jobs as they come, with the index of the prompt. Raises ApiError for the first job
        that fails."""
        news: asyncio.Queue[_News] = asyncio.Queue(_MOST_DELTAS)
        turns = asyncio.Semaphore(_MOST_STREAMS)
        tasks = [
            asyncio.create_task(self._follow(prompt, turns, news))
            for prompt in range(len(self.job_ids))
        ]
        num_open = len(tasks)
        try:
            while num_open:
                item = await news.get()
                if isinstance(item, JobsError):
                    raise as_asked(item, self._asked.names)
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, int):
                    self._open.discard(self.job_ids[item])
                    num_open -= 1
                else:
                    self._services.metrics.tokens.inc(len(item[1].tokens))
                    yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(
        self, prompt: int, turns: asyncio.Semaphore, news: asyncio.Queue[_News]
    ) -> None:
        """Pass a job's deltas on, and then the prompt's index alone."""
        try:
            async with turns, _closing(self._client.stream(self.job_ids[prompt])) as deltas:
                async for delta in deltas:
                    await news.put((prompt, delta))
            await news.put(prompt)
        except Exception as error:
            await news.put(error)

    async def cancel(self) -> None:
        """Cancel what has not ended, as nobody waits for it.

        Where the server is away nothing is, and the jobs come to their ends."""
        left, self._open = sorted(self._open), set()
        with contextlib.suppress(ServerUnavailableError):
            for job_id in left:
                with contextlib.suppress(JobNotFoundError):
                    await self._client.cancel(job_id)


@contextlib.asynccontextmanager
async def _closing(items: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """Closes what yields them, so that it lets go of its connection at once."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
