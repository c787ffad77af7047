"""AsyncClient: the client for services on asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from jobs.client import Client
from jobs.errors import JobsError
from jobs.generate_job import GenerateJob
from jobs.job_status import JobStatus
from jobs.row_delta import RowDelta
from jobs.sampled_rows import SampledRows


class AsyncClient:
    """Client, whose methods are awaited; see there for what they do and raise."""

    def __init__(self, url: str, queue: str = "rowmill", **options: Any) -> None:
        self._client = Client(url, queue, **options)

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
        self._client.close()

    async def submit(
        self, job: GenerateJob | None = None, /, *, job_id: str | None = None, **fields: Any
    ) -> str:
        return await asyncio.to_thread(self._client.submit, job, job_id=job_id, **fields)

    async def submit_many(
        self,
        jobs: Iterable[GenerateJob | Mapping[str, Any]],
        *,
        job_ids: Sequence[str] | None = None,
    ) -> list[str]:
        return await asyncio.to_thread(self._client.submit_many, jobs, job_ids=job_ids)

    async def result(self, job_id: str, timeout: float | None = None) -> SampledRows:
        return await asyncio.to_thread(self._client.result, job_id, timeout)

    async def results(
        self, job_ids: Iterable[str], timeout: float | None = None
    ) -> AsyncIterator[tuple[str, SampledRows | JobsError]]:
        for outcome in await asyncio.to_thread(
            lambda: list(self._client.results(job_ids, timeout))
        ):
            yield outcome

    async def stream(self, job_id: str, timeout: float | None = None) -> AsyncIterator[RowDelta]:
        for delta in await asyncio.to_thread(lambda: list(self._client.stream(job_id, timeout))):
            yield delta

    async def status(self, job_id: str) -> JobStatus:
        return await asyncio.to_thread(self._client.status, job_id)

    async def cancel(self, job_id: str) -> bool:
        return await asyncio.to_thread(self._client.cancel, job_id)

    async def delete(self, job_ids: Iterable[str]) -> int:
        return await asyncio.to_thread(self._client.delete, job_ids)

    async def replies(self, name: str, timeout: float | None = None) -> list[str]:
        return await asyncio.to_thread(self._client.replies, name, timeout)

    async def worker_models(self) -> dict[str, str | None]:
        return await asyncio.to_thread(self._client.worker_models)

    async def num_queued(self, tenant: str | None = None) -> int:
        return await asyncio.to_thread(self._client.num_queued, tenant)
