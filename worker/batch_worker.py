"""The batch worker: RQ's worker with many jobs at once, all in one continuous batch.

Three threads. The step thread (the caller of `work`) claims jobs and keeps the engine stepping;
the finalizer stores outcomes; the heartbeat extends leases, recovers what dead workers left, and
tells which claims are lost. They share `Claims`, and the ledger's connection pool.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import signal
import threading
import time
from types import FrameType
from typing import Any

import redis
from rq.command import parse_payload
from rq.suspension import is_suspended
from rq.utils import now as utc_now
from rq.worker import BaseWorker, WorkerStatus

from engine import Engine, RequestError
from jobs import JobsError, MsgpackSerializer
from worker.claims import Claims
from worker.config import WorkerConfig
from worker.finalizer import Finalizer
from worker.ledger import Claim, Ledger
from worker.translate import to_request

_IDLE_SECONDS = 1.0
"""Longest wait for a job: how late an idle worker notices a signal."""
_CLAIM_SECONDS = 0.01
"""Shortest time between looks at an empty queue while rows are running."""
_RECONNECT_SECONDS = 1.0
_DRAIN_SECONDS = 60.0
_HASTY_SECONDS = 5.0
_TIDY_SECONDS = 60.0

log = logging.getLogger("rowmill.worker")


class BatchWorker(BaseWorker):
    """Runs jobs of one queue on one engine.

    SIGTERM or SIGINT: rows that run are finished and nothing new is taken. A second one: what is
    unfinished goes back to the queue, and the worker ends.
    """

    def __init__(self, engine: Engine, connection: redis.Redis, config: WorkerConfig) -> None:
        super().__init__(
            [config.queue], connection=connection, serializer=MsgpackSerializer, worker_ttl=60
        )
        self._engine = engine
        self._config = config
        self._claims = Claims()
        self._ledger = Ledger(
            connection,
            config.queue,
            self.name,
            lease=config.lease,
            worker_ttl=self.worker_ttl + 60,
            result_ttl=config.result_ttl,
            failure_ttl=config.failure_ttl,
            max_attempts=config.max_attempts,
        )
        self._finalizer = Finalizer(self._ledger, self._claims)
        self._running: dict[str, Claim] = {}
        """The claims whose requests are in the engine, by execution ID."""
        self._deadlines: dict[str, float] = {}
        self._lost: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Execution IDs that hold their job no more, from the heartbeat."""
        self._stops: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Job IDs to stop, from RQ's command channel."""
        self._num_signals = 0
        self._next_claim = 0.0
        self._is_queue_empty = False
        """As of the last claim."""
        self._is_done = threading.Event()

    def work(self, burst: bool = False) -> bool:  # type: ignore[override]
        """Run until a signal, or with `burst` until the queue is empty.

        Returns whether all went well; False where the engine failed and the worker had to stop, or
        outcomes could not be stored.
        """
        self._install_signal_handlers()  # first: a signal must not leave a record behind
        self.bootstrap(logging_level=None)
        self.set_state(WorkerStatus.IDLE)
        self._finalizer.start()
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heart.start()
        is_well = False
        try:
            self._loop(burst)
            is_well = True
        except redis.RedisError:
            log.exception("lost the server while stopping; the leases run out by themselves")
        except Exception:
            log.exception("the engine failed; its jobs are tried again elsewhere")
            self._claims.remove(self._running.values())  # the heartbeat must not extend them
            self._ledger.expire(self._running.values())
        finally:
            is_well = self._drain() and is_well
            self._is_done.set()
            heart.join(_HASTY_SECONDS)
            with contextlib.suppress(redis.RedisError):  # without a server there is no record
                self._publish()
                self.teardown()  # type: ignore[no-untyped-call]
        return is_well

    def _drain(self) -> bool:
        """Wait until all outcomes are stored, not for long after a second signal; tells if so."""
        self._finalizer.close()
        started = time.monotonic()
        while not self._finalizer.join(_CLAIM_SECONDS):
            patience = _HASTY_SECONDS if self._num_signals > 1 else _DRAIN_SECONDS
            if time.monotonic() > started + patience:
                log.error("%d outcomes could not be stored", len(self._claims))
                return False
        return True

    def _loop(self, burst: bool) -> None:
        while self._num_signals == 0:
            self._drop_lost()
            self._claim()
            if self._engine.has_work:
                self._step()
            elif burst and self._is_queue_empty:
                return
            elif burst:
                time.sleep(_CLAIM_SECONDS)
            else:
                self._wait()
        log.info("finishing %d running jobs; a second signal gives them back", len(self._running))
        self._shutdown_requested_date = utc_now()
        with contextlib.suppress(redis.RedisError):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        while self._engine.has_work:
            if self._num_signals > 1:
                self._give_back()
                return
            self._drop_lost()
            self._step()

    def _claim(self) -> None:
        """Take as many jobs as there are free rows; a bad one fails, and its neighbours run."""
        if time.monotonic() < self._next_claim:
            return
        num_free = self._engine.config.max_rows - self._engine.num_busy_rows
        if num_free <= 0:
            return
        try:
            claims = self._ledger.claim(num_free)
        except redis.RedisError as error:
            log.warning("can't claim jobs, will try again: %s", error)
            self._next_claim = time.monotonic() + _RECONNECT_SECONDS
            return
        self._claims.add(claims)
        for claim in claims:
            self._submit(claim)
        self._is_queue_empty = not claims
        if not claims:
            self._next_claim = time.monotonic() + _CLAIM_SECONDS

    def _submit(self, claim: Claim) -> None:
        try:
            self._engine.submit(to_request(claim))
        except (JobsError, RequestError) as error:
            log.info("job %s fails: %s", claim.job_id, error)
            self._finalizer.fail(claim, f"{type(error).__name__}: {error}")
            return
        except Exception as error:  # a defect of ours that this job brings out
            log.exception("job %s can't be taken", claim.job_id)
            self._finalizer.fail(claim, f"{type(error).__name__}: {error}")
            return
        self._running[claim.execution_id] = claim
        if claim.timeout is not None:
            self._deadlines[claim.execution_id] = time.monotonic() + claim.timeout

    def _step(self) -> None:
        for result in self._engine.step():
            claim = self._forget(result.request_id)
            if result.error is None:
                self._finalizer.finish(claim, result)
            else:
                self._finalizer.fail(claim, result.error)
        self._stop_overdue()

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for execution_id in [key for key, deadline in self._deadlines.items() if deadline < now]:
            claim = self._forget(execution_id)
            self._engine.cancel(execution_id)
            reason = f"timeout: the job ran longer than its {claim.timeout:g} seconds"
            self._finalizer.fail(claim, reason)

    def _drop_lost(self) -> None:
        """Take out of the batch what was cancelled, stopped, or given to another worker."""
        while not self._lost.empty():
            execution_id = self._lost.get()
            if execution_id in self._running:
                claim = self._forget(execution_id)
                self._engine.cancel(execution_id)
                self._finalizer.fail(claim, "cancelled")  # fenced off; it only tidies up
        while not self._stops.empty():
            job_id = self._stops.get()
            for claim in [claim for claim in self._running.values() if claim.job_id == job_id]:
                self._forget(claim.execution_id)
                self._engine.cancel(claim.execution_id)
                self._finalizer.fail(claim, "stopped on request", status="stopped")

    def _give_back(self) -> None:
        claims = list(self._running.values())
        log.warning("stopping now: %d unfinished jobs go back to the queue", len(claims))
        self._ledger.give_back(claims)
        self._claims.remove(claims)
        self._running.clear()

    def _forget(self, execution_id: str) -> Claim:
        self._deadlines.pop(execution_id, None)
        return self._running.pop(execution_id)

    def _wait(self) -> None:
        """Sleep until the queue has a job, or for a moment."""
        try:
            if is_suspended(self.connection):
                time.sleep(_IDLE_SECONDS)
            else:
                self._ledger.wait(_IDLE_SECONDS)
                self._next_claim = 0.0
        except redis.RedisError as error:
            log.warning("can't reach the server, will try again: %s", error)
            time.sleep(_RECONNECT_SECONDS)

    def _beat(self) -> None:
        """The heartbeat thread: leases, the worker's record, and what dead workers left."""
        next_tidy = 0.0
        while not self._is_done.wait(self._config.heartbeat_interval):
            try:
                if claims := self._claims.all():
                    for execution_id in self._ledger.heartbeat(claims):
                        self._lost.put(execution_id)
                self._publish()
                requeued, failed = self._ledger.recover()
                if time.monotonic() > next_tidy:
                    self._ledger.tidy()
                    next_tidy = time.monotonic() + _TIDY_SECONDS
            except redis.RedisError as error:
                log.warning("heartbeat failed, will try again: %s", error)
                continue
            except Exception:  # a defect of ours; without this thread all leases would run out
                log.exception("heartbeat failed, will try again")
                continue
            if requeued or failed:
                log.warning("abandoned jobs: %d requeued, %d failed", len(requeued), len(failed))

    def _publish(self) -> None:
        """Keep the worker's record alive, with the engine's counts beside RQ's own fields."""
        stats = self._engine.stats
        fields: dict[Any, Any] = {
            **self.serialize(),
            "engine_steps": stats.steps,
            "engine_tokens": stats.tokens,
            "engine_prompt_tokens": stats.prompt_tokens,
            "running_rows": self._engine.num_running_rows,
        }
        with self.connection.pipeline() as pipe:
            # A dead worker's record is gone soon after its leases, not after RQ's minutes.
            self.heartbeat(timeout=math.ceil(2 * self._config.lease), pipeline=pipe)
            pipe.hset(self.key, mapping=fields)
            # The ledger keeps the state, unless the record expired while this process was stopped.
            pipe.hsetnx(self.key, "state", "busy" if len(self._claims) else "idle")
            pipe.sadd(self.redis_workers_keys, self.key)
            pipe.sadd(f"rq:workers:{self._config.queue}", self.key)
            pipe.execute()

    def _install_signal_handlers(self) -> None:
        """Only count: RQ's own handlers talk to the server from inside whatever they interrupt."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._num_signals += 1

    def _set_connection(self, connection: redis.Redis) -> redis.Redis:
        """Keep the connection's own timeouts, which RQ would raise to minutes."""
        return connection

    def handle_payload(self, message: Any) -> None:
        """RQ's commands; those to stop find their job among all that run, not only the first."""
        try:
            payload = parse_payload(message)
            if payload.get("command") in ("stop-job", "stop-execution"):
                self._stops.put(str(payload.get("job_id")))
            else:
                super().handle_payload(message)  # type: ignore[no-untyped-call]
        except Exception as error:  # anybody may publish anything, and the next may be a command
            log.warning("not a command: %r", error)
