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
    """Runs on a thread of its own: a webhook may take seconds, and nothing waits for it.

    Nothing is raised: an outcome stands, whatever becomes of what hangs on it.
    """

    def __init__(self, connection: redis.Redis, *, sends_webhooks: bool = True) -> None:
        self._connection = connection
        self._sends_webhooks = sends_webhooks
        self._ended: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        # A daemon: what it does not come to when the worker ends, another worker takes over.
        self._thread = threading.Thread(target=self._run, name="follow-ups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, queue: str, job_id: str) -> None:
        """Soon do what is to follow a job that has ended."""
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

    def _run(self) -> None:
        while True:
            queue_name, job_id = self._ended.get()
            try:
                self._follow_up(queue_name, job_id)
            except redis.RedisError as error:
                log.warning("job %s: what follows it may be done later: %s", job_id, error)

    def _follow_up(self, queue_name: str, job_id: str) -> None:
        try:
            steps = self._steps(queue_name, job_id)
        except Exception as error:  # it is gone, or not RQ's: no later attempt would go better
            _raise_if_it_passes(error)
            log.warning("job %s: what follows it can't be read: %s", job_id, brief(error))
            steps = []
        for step in steps:
            try:
                step()
            except Exception as error:  # of what the producer wrote
                _raise_if_it_passes(error)
                log.warning("job %s: something after it failed: %s", job_id, brief(error))
        self._connection.zrem(_marks(queue_name), job_id)

    def _steps(self, queue_name: str, job_id: str) -> list[Callable[[], object]]:
        queue = Queue(
            queue_name,
            connection=self._connection,
            serializer=MsgpackSerializer,
            job_class=BoundedJob,
        )
        job = BoundedJob.fetch(job_id, self._connection, MsgpackSerializer)
        status = job.get_status(refresh=False)
        steps: list[Callable[[], object]] = [
            lambda: release_slot(job),
            lambda: queue.enqueue_dependents(job),
        ]
        if self._sends_webhooks and status in (JobStatus.FINISHED, JobStatus.FAILED):
            steps.append(lambda: _send_webhooks(job, status))
        if status is JobStatus.FINISHED and job.repeats_left:
            steps.append(lambda: _repeat(job, queue))  # last, as it changes the job's status
        return steps


def _marks(queue: str) -> str:
    return f"rowmill:follow-ups:{queue}"


def _raise_if_it_passes(error: Exception) -> None:
    """A server that is away, full or read-only is no fault of the job's."""
    if isinstance(error, redis.RedisError) and not is_for_ever(error):
        raise error


def _send_webhooks(job: Job, status: JobStatus) -> None:
    last = job.latest_result() if status is JobStatus.FAILED else None
    job.send_webhooks(status, exc_string=last.exc_string if last else None)


def _repeat(job: Job, queue: Queue) -> None:
    """Together with the mark, so that it happens once."""
    with queue.connection.pipeline() as pipe:
        Repeat.schedule(job, queue, pipeline=pipe)
        pipe.persist(job.key)
        pipe.zrem(_marks(queue.name), job.id)
        pipe.execute()
