"""Runner: the threads that work at batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gateway.batches.batch import Batch
from gateway.batches.batch_store import BatchStore
from gateway.batches.file_store import FileStore
from gateway.batches.turn import Stopped, Turn, TurnConfig
from jobs import JobsError

_log = logging.getLogger("rowmill.batches")
_LOOK_SECONDS = 1.0
"""Other gateways on the folder, and those that died, leave work without a word."""
_REST_SECONDS = 10.0
"""Before a batch is tried again that could not go on."""
_SWEEP_SECONDS = 3600.0
_STOP_SECONDS = 10.0
_WORK_SECONDS, _BREATH_SECONDS = 0.001, 0.0002
"""Lines are read without waiting, so that other threads, which answer requests, would wait for the
interpreter up to five times as long."""


class Runner:
    """One thread for what is quick (checking new files, ending what was cancelled or has expired)
    and as many for sampling as batches may run at once. Other batches wait, the oldest first."""

    def __init__(self, config: TurnConfig, store: BatchStore, files: FileStore) -> None:
        self._config = config
        self._store = store
        self._files = files
        self._resting: dict[str, float] = {}
        self._next_sweep = time.monotonic()
        self._is_stopping = threading.Event()
        self._news = threading.Condition()
        kinds = [_is_quick, *[_is_to_sample] * config.limits.at_once]
        self._threads = [
            threading.Thread(target=self._work, args=(takes,), daemon=True, name="batches")
            for takes in kinds
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all turns within a second or two; batches stay as they are, to be gone on with."""
        self._is_stopping.set()
        self.wake()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self) -> None:
        """There is news: a batch to look at."""
        with self._news:
            self._news.notify_all()

    def _work(self, takes: Callable[[Batch], bool]) -> None:
        while not self._is_stopping.is_set():
            try:
                is_busy = self._take_turn(takes)
            except Exception:  # the thread has to live: as OSError, of the folder
                _log.exception("batches can't be looked at")
                is_busy = False
            if not is_busy:
                with self._news:
                    self._news.wait(_LOOK_SECONDS)

    def _take_turn(self, takes: Callable[[Batch], bool]) -> bool:
        """Works at the first batch that is to be had; whether there was one."""
        if takes is _is_quick:
            self._sweep()
        for batch in self._store.all_active():
            if not takes(batch) or self._is_resting(batch.id):
                continue
            folder = self._store.folder(batch.tenant, batch.id)
            with folder.locked() as is_ours:
                if not is_ours:
                    continue
                turn = Turn(self._config, self._files, folder, _Check(self._is_stopping).at_line)
                if turn.batch.has_ended:
                    continue
                self._run(turn)
            self.wake()
            return True
        return False

    def _run(self, turn: Turn) -> None:
        try:
            if turn.batch.status == "validating":
                turn.validate()
                return
            if turn.batch.status == "in_progress":
                turn.sample()
            if not turn.batch.has_ended:
                turn.finish()
        except Stopped:
            pass
        except (JobsError, OSError) as error:
            _log.warning("batch %s can't go on now: %s", turn.batch.id, error)
            self._resting[turn.batch.id] = time.monotonic() + _REST_SECONDS
        except Exception:
            _log.exception("batch %s failed", turn.batch.id)
            turn.fail("the gateway made a mistake; its log tells more")

    def _is_resting(self, batch_id: str) -> bool:
        return time.monotonic() < self._resting.get(batch_id, 0.0)

    def _sweep(self) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_SECONDS
            self._files.sweep()
            self._store.sweep()


class _Check:
    """Of one turn: lets the interpreter go now and then, and ends it when it is time."""

    def __init__(self, is_stopping: threading.Event) -> None:
        self._is_stopping = is_stopping
        self._breathed_at = time.monotonic()

    def at_line(self) -> None:
        if self._is_stopping.is_set():
            raise Stopped
        if time.monotonic() - self._breathed_at > _WORK_SECONDS:
            time.sleep(_BREATH_SECONDS)
            self._breathed_at = time.monotonic()


def _is_to_sample(batch: Batch) -> bool:
    return batch.status == "in_progress" and not batch.is_late


def _is_quick(batch: Batch) -> bool:
    return not _is_to_sample(batch)
