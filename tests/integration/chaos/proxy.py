"""Proxy: stands between a server and all who use it, and cuts their connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

_CHUNK = 65536

Direction = Literal["command", "reply"]


class Link:
    """One connection through the proxy."""

    def __init__(self) -> None:
        self._cut: tuple[Direction, float] | None = None
        self.writers: list[asyncio.StreamWriter] = []

    def arm(self, direction: Direction, share: float) -> None:
        """Of the next data in this direction only this share passes, and then nothing at all."""
        self._cut = (direction, share)

    def disarm(self) -> None:
        self._cut = None

    def passing(self, direction: Direction, data: bytes) -> tuple[bytes, bool]:
        """What of the data passes, and whether that was the end."""
        cut = self._cut
        if cut is None or cut[0] != direction:
            return data, False
        return data[: int(len(data) * cut[1])], True


class Proxy:
    """Listens on one unix socket and passes all on to another, on a thread of its own.

    Whoever loses a reply, or the rest of a command, can't tell what the server has done.
    """

    def __init__(self, path: Path, server: Path) -> None:
        self.url = f"unix://{path}"
        self.num_cuts = 0
        self._path = path
        self._server = server
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        self._thread.start()
        self._gate.set()
        listener = self._do(asyncio.start_unix_server(self._serve, self._path))
        try:
            yield self
        finally:
            self._do(self._close(listener))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def cut_one(self, rng: random.Random) -> None:
        """Cut a connection in the middle of its next command or reply, if there is one."""
        links = sorted(self._links.copy(), key=id)
        if links:
            # No byte at all is the most interesting share: done, and nobody knows.
            share = rng.choice((0.0, rng.random()))
            rng.choice(links).arm(rng.choice(("command", "reply")), share)

    def spare(self) -> None:
        """Cut nothing that is not cut by now."""
        for link in self._links.copy():
            link.disarm()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While this lasts nothing passes: by the server, time stands still."""
        self._do(self._hold())
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._gate.set)

    def _do(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _hold(self) -> None:
        self._gate.clear()
        writers = [writer for link in self._links for writer in link.writers]
        while any(writer.transport.get_write_buffer_size() for writer in writers):
            await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link()
        link.writers.append(writer)
        try:
            its_reader, its_writer = await asyncio.open_unix_connection(self._server)
            link.writers.append(its_writer)
            self._links.add(link)
            ways = [
                asyncio.ensure_future(self._pass(link, "command", reader, its_writer)),
                asyncio.ensure_future(self._pass(link, "reply", its_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the server is down, and so is this connection
        finally:
            self._links.discard(link)
            for each in link.writers:
                each.close()

    async def _pass(
        self,
        link: Link,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._gate.wait()
            data, is_last = link.passing(direction, data)
            writer.write(data)
            await writer.drain()
            if is_last:
                self.num_cuts += 1
                return

    async def _close(self, listener: asyncio.AbstractServer) -> None:
        listener.close()
        for link in self._links:
            for writer in link.writers:
                writer.close()
        while self._links:
            await asyncio.sleep(0.001)
