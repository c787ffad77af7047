"""TLS in front of a server that has none of its own: the embedded one is built without it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def tls_proxy(unix_socket: str, context: ssl.SSLContext) -> Iterator[int]:
    """Serves `unix_socket` over TLS on a loopback port, which it gives."""
    loop = asyncio.new_event_loop()
    proxy = _Proxy(unix_socket)
    server = loop.run_until_complete(
        asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=1)
    )
    # A client that refuses the certificate is what some tests are about.
    loop.set_exception_handler(lambda loop, context: None)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Proxy:
    def __init__(self, unix_socket: str) -> None:
        self._unix_socket = unix_socket
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._unix_socket)
            pumps = [_pump(reader, inner_writer), _pump(inner_reader, writer)]
            with contextlib.suppress(OSError):
                await asyncio.gather(*pumps)
        finally:
            self._tasks.discard(task)

    async def close(self, server: asyncio.Server) -> None:
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close on the loop's next turn


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
