"""The batch worker: RQ's worker with many jobs at once, all in one continuous batch.

The step thread (the caller of `work`) claims jobs and keeps the engine stepping; the finalizer
stores outcomes; the publisher tells of rows that run; the heart extends leases and tells which
claims are lost; the caretaker looks after the queues. They share `Claims`, and the connection pool.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import threading
import time
from types import FrameType

import redis
from rq.suspension import is_suspended
from rq.utils import now as utc_now
from rq.worker import WorkerStatus

from engine import Engine
from worker.card import card_of
from worker.caretaker import Caretaker
from worker.claimer import Claimer
from worker.claims import Claims
from worker.config import WorkerConfig
from worker.doorbell import Doorbell
from worker.figures import Figures
from worker.finalizer import Finalizer
from worker.follow_ups import FollowUps
from worker.heart import Heart
from worker.job_batch import JobBatch
from worker.ledger import Ledger
from worker.metrics.health import Health
from worker.metrics.meter import Meter
from worker.metrics.waiting import WaitingWatch
from worker.rq_worker import RqWorker
from worker.stream_publisher import StreamPublisher
from worker.streams import Streams
from worker.ticking import Ticking

_IDLE_SECONDS = 1.0
"""Longest wait for a job: how late an idle worker notices a signal."""
_MOMENT = 0.01
_RECONNECT_SECONDS = 1.0
_STORE_SECONDS = 15.0
_HASTY_SECONDS = 5.0

log = logging.getLogger("rowmill.worker")


class BatchWorker(RqWorker):
    """Runs jobs of some queues on one engine.

    SIGTERM or SIGINT: nothing new is taken, rows that run have `drain_seconds` to finish, and what
    is unfinished then goes back to the queue. A second one: it goes back at once.
    """

    def __init__(
        self,
        engine: Engine,
        connection: redis.Redis,
        config: WorkerConfig,
        *,
        health: Health | None = None,
    ) -> None:
        queues = config.queues
        super().__init__(connection, queues, card_of(engine, config.model), config.name)
        self._engine = engine
        self._config = config
        self._health = health or Health.of(config)
        self.meter = Meter()
        self.waiting = WaitingWatch(connection, queues)
        """Looked at only where metrics are served."""
        self._claims = Claims()
        """All that are the worker's: from the claim until the outcome is stored."""
        self._follow_ups = FollowUps(connection, sends_webhooks=config.sends_webhooks)
        self._ledger = Ledger(
            connection,
            queues,
            self.name,
            self._follow_ups,
            lease=config.lease,
            worker_ttl=self.worker_ttl + 60,
            result_ttl=config.result_ttl,
            failure_ttl=config.failure_ttl,
            max_attempts=config.max_attempts,
            max_payload_bytes=config.max_payload_bytes,
        )
        self._finalizer = Finalizer(self._ledger, self._claims, self.meter)
        self.publisher = StreamPublisher(connection, config.stream_chunks)
        self._batch = JobBatch(
            engine,
            self._finalizer,
            Streams(engine, self.publisher, config.stream_interval, config.stream_tokens),
            self.meter,
            max_payload_bytes=config.max_payload_bytes,
        )
        caretaker = Caretaker(
            connection,
            queues,
            self.name,
            self._follow_ups,
            interval=config.heartbeat_interval,
            failure_ttl=config.failure_ttl,
            max_attempts=config.max_attempts,
            meter=self.meter,
        )
        self._heart = Heart(self._ledger, self._claims, self._health, self._tell)
        interval = config.heartbeat_interval
        self._tickings = [
            Ticking("heartbeat", interval, self._heart.beat),
            Ticking("caretaker", interval, caretaker.see_to),
        ]
        self._doorbell = Doorbell(connection, queues)
        self._claimer = Claimer(self._ledger, self._claims, config.engine.max_rows)
        self._figures = Figures(engine, config, self.publisher)
        self._num_signals = 0

    def work(self, burst: bool = False) -> bool:  # type: ignore[override]
        """Run until a signal, or with `burst` until the queues are empty.

        Returns whether all went well; False where the engine failed and the worker had to stop, or
        outcomes could not be stored.
        """
        self._install_signal_handlers()  # first: a signal must not leave a record behind
        self.bootstrap(logging_level=None)
        self.set_state(WorkerStatus.IDLE)
        self._heart.beat()
        self._finalizer.start()
        self.publisher.start()
        self._follow_ups.start()
        self._doorbell.start()
        for ticking in self._tickings:
            ticking.start()
        for thread in (self._finalizer.thread, *(its.thread for its in self._tickings)):
            self._health.watch(thread)
        is_well = False
        try:
            self._health.enter("serving")
            self._serve(burst)
            self._health.enter("draining")
            self._drain()
            is_well = True
        except redis.RedisError as error:
            log.error("lost the server while stopping; the leases run out by themselves: %s", error)
        except Exception:
            log.exception("the engine failed; its jobs are tried again elsewhere")
            claims = self._batch.pop_all()
            self._claims.remove(claims)  # the heart must not extend them
            with contextlib.suppress(redis.RedisError):  # else they run out by themselves
                self._ledger.expire(claims)
        finally:
            self._health.enter("draining")
            is_well = self._store_outcomes() and is_well
            self.publisher.close(_HASTY_SECONDS)
            self._follow_ups.close(_HASTY_SECONDS)
            for ticking in self._tickings:
                ticking.stop(_HASTY_SECONDS)
            self._doorbell.stop()
            with contextlib.suppress(redis.RedisError):  # without a server there is no record
                self._publish()
                self.teardown()  # type: ignore[no-untyped-call]
            self._health.enter("stopped")
        return is_well

    @property
    def num_unstored(self) -> int:
        """Jobs that are done and whose outcome is not stored yet."""
        return max(len(self._claims) - len(self._batch), 0)

    def _serve(self, burst: bool) -> None:
        while self._num_signals == 0:
            self._health.progress()
            # Outcomes and what follows them may put more on the queues.
            is_settled = not len(self._claims) and self._follow_ups.is_idle
            has_asked = self._claim()
            self._drop()
            if self._engine.has_work:
                self._batch.step()
            elif burst and is_settled and has_asked and self._ledger.is_empty:
                return
            elif burst:
                time.sleep(_MOMENT)
            else:
                self._wait()

    def _drain(self) -> None:
        """Finish what runs, for as long as there is patience; then give the rest back."""
        seconds = self._config.drain_seconds
        if self._batch:
            log.info(
                "finishing %d jobs for at most %g s; a second signal gives them back at once",
                len(self._batch),
                seconds,
            )
        self._shutdown_requested_date = utc_now()
        with contextlib.suppress(redis.RedisError):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        give_up_at = time.monotonic() + seconds
        while self._engine.has_work and self._num_signals < 2 and time.monotonic() < give_up_at:
            self._health.progress()
            self._batch.step()
            self._drop()
        if claims := self._batch.pop_all():
            log.warning("stopping now: %d unfinished jobs go back to the queue", len(claims))
            self._ledger.give_back(claims)
            for claim in claims:
                log.info("given back", extra=claim.log_fields)
            self._claims.remove(claims)

    def _store_outcomes(self) -> bool:
        """Wait until all are stored, but not for long once none gets through; tells if so."""
        self._finalizer.close()
        since, num_left = time.monotonic(), len(self._claims)
        while not self._finalizer.join(_MOMENT):
            self._health.progress()
            if len(self._claims) < num_left:
                since, num_left = time.monotonic(), len(self._claims)
            patience = _HASTY_SECONDS if self._num_signals > 1 else _STORE_SECONDS
            if time.monotonic() > since + patience:
                log.error("%d outcomes could not be stored", len(self._claims))
                return False
        return True

    def _claim(self) -> bool:
        """Take jobs for the free rows.

        Returns whether the server was asked and has answered.
        """
        if self._batch.is_alone:
            return False
        claims = self._claimer.claim(self._engine.num_busy_rows, is_idle=not self._batch)
        for claim in claims or ():
            self._batch.take(claim)
        return claims is not None

    def _drop(self) -> None:
        """Take out of the batch what is cancelled, stopped, late, or given to another worker."""
        while not self._heart.lost.empty():
            self._batch.drop_lost(self._heart.lost.get())
        while not self.stops.empty():
            self._batch.stop(self.stops.get())
        self._batch.drop_overdue()

    def _wait(self) -> None:
        """Sleep until a queue has a job, or for a moment."""
        self.meter.look(self._engine)
        seconds = self._claimer.seconds_left
        if seconds > _MOMENT:  # the last claim failed, and a queue that has jobs is no news
            time.sleep(seconds)
            return
        try:
            if is_suspended(self.connection):
                time.sleep(_IDLE_SECONDS)
            else:
                self._doorbell.wait(_IDLE_SECONDS)
                self._claimer.hurry()
        except redis.RedisError as error:
            log.warning("can't reach the server, will try again: %s", error)
            time.sleep(_RECONNECT_SECONDS)

    def _tell(self) -> None:
        self._publish()
        if self._config.metrics_port is not None:
            self.waiting.look()

    def _publish(self) -> None:
        """The engine's counts, in a record that is gone soon after a dead worker's leases."""
        self.publish(self._figures.read(), ttl=math.ceil(2 * self._config.lease))

    def _install_signal_handlers(self) -> None:
        """Only count: RQ's own handlers talk to the server from inside whatever they interrupt."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._num_signals += 1
