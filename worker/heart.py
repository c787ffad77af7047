"""The heartbeat: a thread that keeps a worker's leases and record alive."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import redis

from worker.caretaker import Caretaker
from worker.claims import Claims
from worker.ledger import Ledger

log = logging.getLogger("rowmill.heart")


class Heart:
    """Beats until `stop`. Of its own thread, so that long steps do no harm.

    `lost` holds the execution IDs that hold their job no more: it was cancelled, deleted, or given
    to another worker.
    """

    def __init__(
        self,
        ledger: Ledger,
        caretaker: Caretaker,
        claims: Claims,
        publish: Callable[[], None],
        interval: float,
    ) -> None:
        self._ledger = ledger
        self._caretaker = caretaker
        self._claims = claims
        self._publish = publish
        self._interval = interval
        self._is_done = threading.Event()
        self._was_cut_off = False
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Beat no more; waits at most so long for a beat under way."""
        self._is_done.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._is_done.wait(self._interval):
            try:
                self._beat()
            except redis.RedisError as error:
                self._was_cut_off = True
                log.warning("heartbeat failed, will try again: %s", error)
            except Exception:  # a defect of ours; without this thread all leases would run out
                log.exception("heartbeat failed, will try again")

    def _beat(self) -> None:
        if claims := self._claims.all():
            for execution_id in self._ledger.heartbeat(claims):
                self.lost.put(execution_id)
        self._publish()
        # Where the server was away, all leases look ended: the other workers come back first.
        if not self._was_cut_off:
            self._caretaker.see_to()
        self._was_cut_off = False
