"""Waits until one of several queues has a job, without asking again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import redis

_LONGEST_SECONDS = 1.0
_RECONNECT_SECONDS = 1.0


class Doorbell:
    """A thread per list: a connection can wait on several at once only by taking from them.

    Moving a list's head onto itself changes nothing, and BLMOVE waits for there to be one. So no
    job is in anybody's hands while a worker waits, and none is lost if it dies.
    """

    def __init__(self, connection: redis.Redis, queues: Sequence[str]) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._is_wanted = threading.Event()
        self._has_rung = threading.Event()
        self._is_done = False
        # A queue's own list, and the one that is rung for its tenants.
        keys = [key for queue in queues for key in (f"rq:queue:{queue}", f"rowmill:bell:{queue}")]
        self._threads = [
            threading.Thread(target=self._listen, args=(key,), name=f"doorbell {key}", daemon=True)
            for key in keys
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        """Until a queue has a job, or time is up."""
        with self._lock:
            self._has_rung.clear()
            self._is_wanted.set()
        self._has_rung.wait(seconds)
        self._is_wanted.clear()

    def stop(self) -> None:
        """Listen no more; the connection may be closed then."""
        self._is_done = True
        self._is_wanted.set()

    def _listen(self, key: str) -> None:
        while self._is_wanted.wait() and not self._is_done:
            try:
                if self._connection.blmove(key, key, _LONGEST_SECONDS, "LEFT", "LEFT"):  # type: ignore[arg-type]
                    with self._lock:  # or a ring for the last wait would end the next one's
                        self._has_rung.set()
                        self._is_wanted.clear()
            except Exception as error:
                if self._is_done:
                    return  # whatever a connection says that is closed under a read
                if not isinstance(error, redis.RedisError):
                    raise
                time.sleep(_RECONNECT_SECONDS)  # whoever claims next says what is wrong
