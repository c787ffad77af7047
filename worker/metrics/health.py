"""Health: whether a worker is alive, and whether it is ready."""

from __future__ import annotations

import threading
import time
from typing import Literal

from worker.config import WorkerConfig

Phase = Literal["loading", "serving", "draining", "stopped"]

_NOT_READY = {
    "loading": "the model is loading",
    "draining": "draining: what runs is finished, nothing new is taken",
    "stopped": "stopped",
}


class Health:
    """Written by the threads that it is about, read by any."""

    def __init__(self, *, stall_seconds: float, heartbeat_seconds: float) -> None:
        """After `stall_seconds` without progress the step thread counts as hung, and the server as
        out of reach `heartbeat_seconds` after the last heartbeat that it answered."""
        self._stall_seconds = stall_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._phase: Phase = "loading"
        self._progress_at = time.monotonic()
        self._heartbeat_at: float | None = None
        self._lost: str | None = None
        self._threads: list[threading.Thread] = []

    @classmethod
    def of(cls, config: WorkerConfig) -> Health:
        return cls(stall_seconds=config.stall_seconds, heartbeat_seconds=config.lease)

    def enter(self, phase: Phase) -> None:
        self._phase = phase
        self.progress()

    def progress(self) -> None:
        """The step thread goes on: it made a step, or waits for jobs."""
        self._progress_at = time.monotonic()

    def heartbeat(self) -> None:
        """The server answered."""
        self._heartbeat_at = time.monotonic()
        self._lost = None

    def lose_server(self, error: Exception) -> None:
        self._lost = type(error).__name__  # its text may tell more than everybody may know

    def watch(self, thread: threading.Thread) -> None:
        """A worker without this thread is dead, whatever else it does."""
        self._threads.append(thread)

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since the server answered; None before it first did."""
        beat = self._heartbeat_at
        return None if beat is None else time.monotonic() - beat

    def why_dead(self) -> str | None:
        """None: it is alive. How long a model loads is nobody's to say."""
        if self._phase in ("loading", "stopped"):
            return None
        silent = time.monotonic() - self._progress_at
        if silent > self._stall_seconds:
            return f"no step for {silent:.0f} s, of at most {self._stall_seconds:g}"
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        if dead and self._phase == "serving":
            return f"dead threads: {', '.join(dead)}"
        return None

    def why_not_ready(self) -> str | None:
        """None: it takes jobs."""
        if self._phase != "serving":
            return _NOT_READY[self._phase]
        age = self.heartbeat_age
        if self._lost is not None:
            return f"the server is out of reach: {self._lost}"
        if age is None or age > self._heartbeat_seconds:
            return "the server is out of reach: no heartbeat"
        return self.why_dead()
