"""Ticking: something that is done again and again, on a thread of its own, whatever befalls it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

log = logging.getLogger("rowmill.ticking")


class Ticking:
    """Acts every `interval` seconds until `stop`."""

    def __init__(self, name: str, interval: float, act: Callable[[], None]) -> None:
        self._name = name
        self._interval = interval
        self._act = act
        self._is_done = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self, seconds: float) -> None:
        """Act no more; waits at most so long for what is under way."""
        self._is_done.set()
        self.thread.join(seconds)

    def _run(self) -> None:
        while not self._is_done.wait(self._interval):
            try:
                self._act()
            except redis.RedisError as error:
                log.warning("%s failed, will try again: %s", self._name, error)
            except Exception:  # a defect of ours; this thread has to live
                log.exception("%s failed, will try again", self._name)
