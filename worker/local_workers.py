"""Worker processes on this machine, kept running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType

_CHECK_SECONDS = 0.5
_STOP_SECONDS = 90.0
_MOST_FAILURES = 3
"""Of a worker that ends by itself: it would do so again."""
_BAD_ARGUMENTS = 2
"""The exit code of a worker that can't use what it was given; another would not either."""
_MOST_KILLS = 100
"""Of a worker that a signal ends: for a job that fails after its attempts, or want of memory."""

_LAST_SIGNALS = ((signal.SIGTERM, 0.5), (signal.SIGTERM, 10.0), (signal.SIGKILL, 0.0))
"""For a process whose parent is gone, each with the seconds until the next."""


class LocalWorkers:
    """Runs `rowmill worker` in processes of their own. One that dies is started again.

    Leaving the context stops them as SIGTERM does: rows that run are finished first.
    """

    def __init__(self, arguments: Sequence[str], number: int) -> None:
        """`arguments` are those of `rowmill worker`."""
        self._command = [sys.executable, "-m", "worker.cli", "worker"]
        self._command += ["--stop-with-parent", str(os.getpid()), *arguments]
        self.number = number
        self._is_stopping = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.num_restarts = 0
        self._num_failures = 0
        self._is_in_vain = False

    def __enter__(self) -> LocalWorkers:
        self._processes = [self._start() for _ in range(self.number)]
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def num_alive(self) -> int:
        """How many processes run now; they may still be loading their model."""
        return sum(process.poll() is None for process in self._processes)

    @property
    def are_all_dead(self) -> bool:
        """Whether no process runs and none will be started again."""
        return self.num_alive == 0 and not self._may_try

    def stop(self) -> None:
        self._is_stopping.set()
        self._watcher.join()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _may_try(self) -> bool:
        num_kills = self.num_restarts - self._num_failures
        return (
            not self._is_in_vain
            and self._num_failures < _MOST_FAILURES * self.number
            and num_kills < _MOST_KILLS * self.number
        )

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl+C in the terminal then reaches only us, and we stop it.
        return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)

    def _watch(self) -> None:
        while not self._is_stopping.wait(_CHECK_SECONDS):
            for index, process in enumerate(self._processes):
                code = process.poll()
                self._is_in_vain |= code == _BAD_ARGUMENTS
                if code is not None and self._may_try:
                    self.num_restarts += 1
                    self._num_failures += code >= 0
                    self._processes[index] = self._start()


@contextlib.contextmanager
def parent_watch(parent: int) -> Iterator[None]:
    """End this process when process `parent`, which started it, is gone.

    Its ID is given, not asked for: it may be gone before this process comes to ask. Nobody waits
    for rows then, and perhaps no server takes them: a worker gets the two signals at which it gives
    its jobs back at once, and where it hangs on all the same, SIGKILL.
    """
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(_CHECK_SECONDS):
            if os.getppid() != parent:
                break
        for number, patience in _LAST_SIGNALS:
            if is_done.is_set():
                return
            os.kill(os.getpid(), number)
            is_done.wait(patience)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
    try:
        yield
    finally:
        is_done.set()
