"""Fleet: so many workers, kept running whatever befalls them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.integration.chaos.forked_worker import start_worker

_DROPPED = "is no longer ours; outcome dropped"


class Fleet:
    """Workers by place: in each stands one process, and another one soon after it died."""

    def __init__(self, number: int, arguments: Sequence[str], folder: Path) -> None:
        self._arguments = arguments
        self._logs = [folder / f"worker-{place}.log" for place in range(number)]
        self._workers = [start_worker(arguments, log) for log in self._logs]
        self._stopped: ForkServerProcess | None = None
        self.exit_codes: Counter[int] = Counter()
        """Of the workers that are gone; -9 is SIGKILL."""

    def tend(self) -> None:
        """Start a new worker wherever one is gone."""
        for place, worker in enumerate(self._workers):
            if worker.exitcode is not None:
                self._bury(worker)
                self._workers[place] = start_worker(self._arguments, self._logs[place])

    def kill_one(self, rng: random.Random) -> bool:
        """SIGKILL to one that runs; tells whether there was one."""
        running = [worker for worker in self._workers if self._is_running(worker)]
        if running:
            rng.choice(running).kill()
        return bool(running)

    def stop_one(self, rng: random.Random) -> bool:
        """SIGSTOP to one that runs, unless one is stopped already; tells whether it was sent."""
        running = [worker for worker in self._workers if self._is_running(worker)]
        if self._stopped or not running:
            return False
        self._stopped = rng.choice(running)
        _send(self._stopped, signal.SIGSTOP)
        return True

    def resume(self) -> None:
        """SIGCONT to the one that is stopped."""
        if self._stopped:
            _send(self._stopped, signal.SIGCONT)
            self._stopped = None

    def end(self) -> None:
        """SIGTERM to all, and wait until they have stored what they ran."""
        self.resume()
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join(60)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all that is left."""
        for worker in self._workers:
            worker.kill()
            worker.join()
            self._bury(worker)
        self._workers.clear()

    @property
    def num_late_results(self) -> int:
        """How many outcomes came from a worker that had lost its claim, by what workers log."""
        return sum(log.read_text(errors="replace").count(_DROPPED) for log in self._logs)

    def _is_running(self, worker: ForkServerProcess) -> bool:
        return worker.exitcode is None and worker is not self._stopped

    def _bury(self, worker: ForkServerProcess) -> None:
        assert worker.exitcode is not None
        if worker is self._stopped:  # it was killed just before
            self._stopped = None
        self.exit_codes[worker.exitcode] += 1
        worker.close()


def _send(worker: ForkServerProcess, signum: signal.Signals) -> None:
    assert worker.pid is not None
    with contextlib.suppress(ProcessLookupError):  # it was killed a moment ago
        os.kill(worker.pid, signum)
