"""Progress: how far a run is."""

from __future__ import annotations

import dataclasses
import time


@dataclasses.dataclass(slots=True, kw_only=True)
class Progress:
    """`num_inputs`: that the run shall sample; `num_done`: that have all their rows or failed, and
    `num_kept`, those among them that had before this time. `num_rows`, `num_tokens` and
    `num_failed`: of this time. `last_failure`: where and why an input failed last. `num_workers`:
    that serve the queue, where it is known."""

    num_inputs: int
    num_kept: int = 0
    num_done: int = 0
    num_rows: int = 0
    num_tokens: int = 0
    num_failed: int = 0
    last_failure: str | None = None
    num_workers: int | None = None
    started_at: float = dataclasses.field(default_factory=time.time)
    _started: float = dataclasses.field(default_factory=time.monotonic)
    _ended: float | None = None

    def start(self) -> None:
        """The clock begins with the first job."""
        self.started_at, self._started = time.time(), time.monotonic()

    def stop(self) -> None:
        """It stands still after the last one."""
        self._ended = time.monotonic()

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._started

    @property
    def num_new(self) -> int:
        """Inputs that were done this time."""
        return self.num_done - self.num_kept

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None while there is none."""
        if not self.num_new:
            return None
        return (self.num_inputs - self.num_done) * self.seconds / self.num_new
