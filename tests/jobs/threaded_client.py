"""ThreadedClient: an AsyncClient behind a Client's methods, so that one test serves both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from jobs import AsyncClient


class ThreadedClient:
    """Its event loop runs in a thread of its own; may be shared by threads, as a Client may."""

    def __init__(self, url_or_connection: Any, *args: Any, **options: Any) -> None:
        self._client = AsyncClient(url_or_connection, *args, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            return self._items(answer) if hasattr(answer, "__anext__") else self._run(answer)

        return call

    def __enter__(self) -> ThreadedClient:
        return self

    def __exit__(self, *error: object) -> None:
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _items(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        while (item := self._run(_next_of(items))) is not _END:
            yield item

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


_END = object()


async def _next_of(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)
