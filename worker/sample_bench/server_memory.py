"""ServerMemory: what a server takes at most while something happens."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import redis

_LOOK_SECONDS = 0.1


class ServerMemory:
    """Looks at a server all the time until the context ends; its peaks are then there to read.

    Of data the server itself keeps the peak, since it started: it has to be a new one. Of what is
    resident it tells ten times a second what the system says.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="server memory", daemon=True)
        self.base_bytes = 0
        """Of data, before."""
        self.peak_bytes = 0
        self.base_resident_bytes = 0
        self.peak_resident_bytes = 0

    def __enter__(self) -> ServerMemory:
        info = self._info()
        self.base_bytes = info["used_memory"]
        self.base_resident_bytes = info["used_memory_rss"]
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._is_over.wait(_LOOK_SECONDS)  # and then once more
            info = self._info()
            self.peak_bytes = max(self.peak_bytes, info["used_memory_peak"])
            self.peak_resident_bytes = max(self.peak_resident_bytes, info["used_memory_rss"])

    def _info(self) -> dict[str, int]:
        info: Any = self._connection.info("memory")
        return {name: int(info[name]) for name in _NAMES}


_NAMES = ("used_memory", "used_memory_peak", "used_memory_rss")
