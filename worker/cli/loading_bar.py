"""What a terminal shows while a large model is read."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

_PATIENCE = 1.0
"""Seconds; what is read sooner needs no bar."""


class LoadingBar:
    """Called with how much is read, from 0 to 1. On nothing but a terminal it shows nothing."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("loading"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("loading", total=1.0)
        self._started = time.monotonic()

    def __call__(self, share: float) -> None:
        self._bar.update(self._task, completed=share)
        if share >= 1.0:
            self.stop()
        elif time.monotonic() - self._started > _PATIENCE:
            self._bar.start()

    def stop(self) -> None:
        self._bar.stop()
