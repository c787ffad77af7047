"""AsyncClient: the client for services on asyncio."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import redis.asyncio

from jobs.async_server import AsyncServer
from jobs.client_options import ClientOptions
from jobs.connection import check_connection, longest_block, open_async_connection
from jobs.errors import JobsError
from jobs.generate_job import GenerateJob
from jobs.job_info import JobInfo
from jobs.job_life import JobLife
from jobs.job_status import JobStatus
from jobs.model_card import ModelCard
from jobs.operations import Operations
from jobs.overview import Overview
from jobs.row_delta import RowDelta
from jobs.sampled_rows import SampledRows


class AsyncClient:
    """Client, whose methods are awaited; see there for what they do and raise.

    A connection that is given is a `redis.asyncio.Redis`. A client may be shared by all tasks of
    one event loop, of which each holds a connection while it waits for the server: thousands may
    wait at once, if server and process may have so many open. A task may be cancelled at any await.
    """

    def __init__(
        self,
        url_or_connection: str | redis.asyncio.Redis,
        queue: str = "rowmill",
        **options: Unpack[ClientOptions],
    ) -> None:
        self._owns_connection = isinstance(url_or_connection, str)
        self._connection = check_connection(
            open_async_connection(url_or_connection)
            if isinstance(url_or_connection, str)
            else url_or_connection,
            redis.asyncio.Redis,
        )
        self._operations = Operations(queue, longest_block(self._connection), **options)
        self._server = AsyncServer(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections, if the client opened them."""
        if self._owns_connection:
            await self._connection.aclose()

    async def submit(
        self, job: GenerateJob | None = None, /, *, job_id: str | None = None, **fields: Any
    ) -> str:
        return await self._server.run(self._operations.submit(job, job_id, fields))

    async def submit_many(
        self,
        jobs: Iterable[GenerateJob | Mapping[str, Any]],
        *,
        job_ids: Sequence[str] | None = None,
    ) -> list[str]:
        return await self._server.run(self._operations.submit_many(jobs, job_ids))

    async def result(self, job_id: str, timeout: float | None = None) -> SampledRows:
        return await self._server.run(self._operations.result(job_id, timeout))

    def results(
        self, job_ids: Iterable[str], timeout: float | None = None
    ) -> AsyncIterator[tuple[str, SampledRows | JobsError]]:
        return self._server.iterate(self._operations.results(job_ids, timeout))

    def stream(self, job_id: str, timeout: float | None = None) -> AsyncIterator[RowDelta]:
        return self._server.iterate(self._operations.stream(job_id, timeout))

    async def job(self, job_id: str) -> GenerateJob:
        return await self._server.run(self._operations.job(job_id))

    async def info(self, job_id: str) -> JobInfo:
        return await self._server.run(self._operations.info(job_id))

    async def life(self, job_id: str) -> JobLife:
        return await self._server.run(self._operations.life(job_id))

    async def status(self, job_id: str) -> JobStatus:
        return await self._server.run(self._operations.status(job_id))

    async def cancel(self, job_id: str) -> bool:
        return await self._server.run(self._operations.cancel(job_id))

    async def delete(self, job_ids: Iterable[str]) -> int:
        return await self._server.run(self._operations.delete(job_ids))

    async def replies(self, name: str, timeout: float | None = None) -> list[str]:
        return await self._server.run(self._operations.replies(name, timeout))

    async def overview(self, *, everywhere: bool = False, tenant: str | None = None) -> Overview:
        return await self._server.run(self._operations.overview(everywhere, tenant))

    async def worker_models(self) -> dict[str, str | None]:
        return await self._server.run(self._operations.worker_models())

    async def worker_cards(self) -> dict[str, ModelCard]:
        return await self._server.run(self._operations.worker_cards())

    async def num_queued(self, tenant: str | None = None) -> int:
        return await self._server.run(self._operations.num_queued(tenant))
