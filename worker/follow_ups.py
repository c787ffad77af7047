"""What RQ does after a job, done by RQ's own code: repeats, rate limits, dependents, webhooks.

An outcome and the mark that something is to follow it are stored together, and the mark goes when
it is done: should the worker die in between, another worker takes it over.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.rate_limit import release_slot
from rq.repeat import Repeat

from jobs.errors import brief
from jobs.wire import MsgpackSerializer
from worker.bounded_job import BoundedJob
from worker.refusal import is_for_ever

_AT_ONCE = 100
_TAKE_OVER_SECONDS = 60

log = logging.getLogger("rowmill.follow_ups")


class FollowUps:
    """Runs on threads of its own, one for all and one for webhooks, which may take long.

    Nothing is raised: an outcome stands, whatever becomes of what hangs on it. The threads are
    daemons: what they do not come to, another worker takes over.
    """

    def __init__(self, connection: redis.Redis, *, sends_webhooks: bool = True) -> None:
        self._connection = connection
        self._sends_webhooks = sends_webhooks
        self._ended: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        """Job IDs: those that wait for either thread, and those in their hands."""
        self._thread = threading.Thread(target=self._run, name="follow-ups", daemon=True)
        self._teller = threading.Thread(target=self._tell, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._teller.start()

    def close(self, seconds: float) -> None:
        """Take no more; waits at most so long until all but the webhooks is done."""
        self._ended.put(None)
        self._thread.join(seconds)

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    def submit(self, queue: str, job_id: str) -> None:
        """Soon do what is to follow a job that has ended."""
        with self._lock:
            if job_id not in self._under_way:
                self._under_way.add(job_id)
                self._ended.put((queue, job_id))

    def take_over(self, queue: str) -> None:
        """Do what some worker should have done by now and has not. Raises redis.RedisError."""
        now, _ = self._connection.time()
        overdue: Any = self._connection.zrangebyscore(_marks(queue), "-inf", now, 0, _AT_ONCE)
        if overdue:
            again_at: Any = dict.fromkeys(overdue, now + _TAKE_OVER_SECONDS)
            self._connection.zadd(_marks(queue), again_at, xx=True)
        for job_id in overdue:
            self.submit(queue, job_id.decode(errors="replace"))

    def follow_up(self, queue_name: str, job_id: str) -> None:
        """Do all but the webhooks now. Raises redis.RedisError where the server is at fault."""
        try:
            job, steps = self._steps(queue_name, job_id)
        except Exception as error:  # it is gone, or not RQ's: no later attempt would go better
            _raise_if_it_passes(error)
            fields = {"job_id": job_id, "queue": queue_name}
            log.warning("what follows a job can't be read: %s", brief(error), extra=fields)
            self._forget(queue_name, job_id)
            return
        for step in steps:
            try:
                step()
            except Exception as error:  # of what the producer wrote
                _raise_if_it_passes(error)
                fields = {"job_id": job_id, "queue": queue_name}
                log.warning("something after a job failed: %s", brief(error), extra=fields)
        if self._sends_webhooks and job.webhooks:
            self._told.put(lambda: self._send_webhooks(queue_name, job))
        else:
            self._forget(queue_name, job_id)

    def _run(self) -> None:
        while (item := self._ended.get()) is not None:
            self._guarded(item[1], lambda item=item: self.follow_up(*item))  # type: ignore[misc]

    def _tell(self) -> None:
        while True:
            self._told.get()()

    def _guarded(self, job_id: str, act: Callable[[], None]) -> None:
        try:
            act()
        except redis.RedisError as error:
            log.warning("what follows a job is put off: %s", error, extra={"job_id": job_id})
            with self._lock:
                self._under_way.discard(job_id)

    def _forget(self, queue_name: str, job_id: str) -> None:
        self._connection.zrem(_marks(queue_name), job_id)
        with self._lock:
            self._under_way.discard(job_id)

    def _steps(self, queue_name: str, job_id: str) -> tuple[Job, list[Callable[[], object]]]:
        queue = Queue(
            queue_name,
            connection=self._connection,
            serializer=MsgpackSerializer,
            job_class=BoundedJob,
        )
        job = BoundedJob.fetch(job_id, self._connection, MsgpackSerializer)
        steps: list[Callable[[], object]] = [
            lambda: release_slot(job),
            lambda: queue.enqueue_dependents(job),
        ]
        if job.get_status(refresh=False) is JobStatus.FINISHED and job.repeats_left:
            steps.append(lambda: _repeat(job, queue))
        return job, steps

    def _send_webhooks(self, queue_name: str, job: Job) -> None:
        """RQ sends those for the job's status, and logs where it can't."""

        def send() -> None:
            last = job.latest_result()
            status = JobStatus.FINISHED if last and last.exc_string is None else JobStatus.FAILED
            job.send_webhooks(status, exc_string=last.exc_string if last else None)
            self._forget(queue_name, job.id)

        self._guarded(job.id, send)


def _marks(queue: str) -> str:
    return f"rowmill:follow-ups:{queue}"


def _raise_if_it_passes(error: Exception) -> None:
    """A server that is away, full or read-only is no fault of the job's."""
    if isinstance(error, redis.RedisError) and not is_for_ever(error):
        raise error


def _repeat(job: Job, queue: Queue) -> None:
    """Together with the mark, so that it happens once, whoever else is at it."""
    marks = _marks(queue.name)
    with queue.connection.pipeline() as pipe:
        pipe.watch(marks)  # type: ignore[no-untyped-call]
        if pipe.zscore(marks, job.id) is None:
            return
        pipe.multi()
        Repeat.schedule(job, queue, pipeline=pipe)
        pipe.persist(job.key)
        pipe.zrem(marks, job.id)
        pipe.execute()
