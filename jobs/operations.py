"""Operations: what the clients do, but for making calls. Their methods say what each is for."""

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from jobs.errors import InvalidJobError, JobExistsError, JobsError, QueueFullError, brief
from jobs.generate_job import GenerateJob
from jobs.job_info import JobInfo
from jobs.job_life import JobLife
from jobs.job_options import JobOptions
from jobs.job_status import JobStatus
from jobs.life_reading import read_life
from jobs.model_card import ModelCard
from jobs.names import check_job_id, check_name, check_queue_name, queue_of
from jobs.overview import Overview
from jobs.overview_reading import read_overview
from jobs.patience import patient
from jobs.row_delta import RowDelta
from jobs.rq_queue import Pushed, RqQueue
from jobs.sampled_rows import SampledRows
from jobs.server_call import Item, Operation, Pause, Telling
from jobs.streaming import stream_rows
from jobs.waiting import wait_for

R = TypeVar("R")

JOBS_PER_PUSH = 1000
"""How many jobs go to the server in one round trip."""
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.5
"""Seconds between looks at a queue that is full."""


class Operations:
    """Raises InvalidJobError for a bad argument when it is called: before anything is sent.

    `max_block`: the longest that a blocking read may wait, in seconds. The others are those of
    ClientOptions.
    """

    def __init__(
        self,
        queue: str,
        max_block: float,
        *,
        wait_when_full: float | None = 0.0,
        wait_when_away: float = 0.0,
        **options: Any,
    ) -> None:
        check_queue_name(queue)
        job_options = JobOptions(**options)
        is_number = isinstance(wait_when_full, int | float)
        if wait_when_full is not None and not (is_number and wait_when_full >= 0):
            limit = "None or a number of seconds of at least 0"
            raise InvalidJobError("wait_when_full", brief(wait_when_full), limit)
        if not (isinstance(wait_when_away, int | float) and wait_when_away >= 0):
            limit = "a number of seconds of at least 0"
            raise InvalidJobError("wait_when_away", brief(wait_when_away), limit)
        self._queue_name = queue
        self._max_block = max_block
        self._max_queued = job_options.max_queued
        self._wait_when_full = wait_when_full
        self._wait_when_away = wait_when_away
        self._queue = RqQueue(queue, job_options)

    def submit(
        self, job: GenerateJob | None, job_id: str | None, fields: Mapping[str, Any]
    ) -> Operation[str]:
        if job is not None and fields:
            raise InvalidJobError("job", "a job together with fields", "one or the other")
        job_ids = None if job_id is None else [job_id]
        return _only(self.submit_many([fields if job is None else job], job_ids))

    def submit_many(
        self, jobs: Iterable[GenerateJob | Mapping[str, Any]], job_ids: Sequence[str] | None
    ) -> Operation[list[str]]:
        checked = [_checked(job, index) for index, job in enumerate(jobs)]
        if job_ids is None:
            job_ids = [uuid4().hex for _ in checked]
        else:
            _check_job_ids(job_ids, len(checked))
        return self._submit(list(zip(job_ids, checked, strict=True)))

    def _submit(self, pairs: list[tuple[str, GenerateJob]]) -> Operation[list[str]]:
        job_ids = [job_id for job_id, _ in pairs]
        taken: list[str] = []
        for start in range(0, len(pairs), JOBS_PER_PUSH):
            left = yield from self._push(pairs[start : start + JOBS_PER_PUSH], taken)
            if left:
                assert self._max_queued is not None
                full = queue_of(self._queue_name, left[0][1].tenant)
                left += pairs[start + JOBS_PER_PUSH :]
                left_ids = tuple(job_id for job_id, _ in left)
                others = {*left_ids, *taken}
                pushed = tuple(job_id for job_id in job_ids if job_id not in others)
                raise QueueFullError(full, self._max_queued, left_ids, pushed, tuple(taken))
        if taken:
            raise JobExistsError(tuple(taken))
        return job_ids

    def _push(
        self, jobs: list[tuple[str, GenerateJob]], taken: list[str]
    ) -> Operation[list[tuple[str, GenerateJob]]]:
        """Pushes jobs, waiting for room as long as is wanted; returns those for which there is
        none, and adds the IDs that other jobs have to `taken`."""
        started, wait = time.monotonic(), _FIRST_WAIT
        while True:
            answers = yield from self._queue.push(jobs)
            taken += [job_id for job_id, answer in answers.items() if answer is Pushed.TAKEN]
            jobs = [(job_id, job) for job_id, job in jobs if answers[job_id] is Pushed.FULL]
            patience = self._wait_when_full
            if not jobs or (patience is not None and time.monotonic() >= started + patience):
                return jobs
            yield Pause(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def result(self, job_id: str, timeout: float | None) -> Operation[SampledRows]:
        waiting = _rows(wait_for(self._queue, _checked_ids([job_id]), timeout, self._max_block))
        return self._patient(waiting, timeout)

    def results(
        self, job_ids: Iterable[str], timeout: float | None
    ) -> Telling[tuple[str, SampledRows | JobsError]]:
        waiting = wait_for(self._queue, _checked_ids(job_ids), timeout, self._max_block)
        return self._patient(waiting, timeout)

    def stream(self, job_id: str, timeout: float | None) -> Telling[RowDelta]:
        check_job_id(job_id)
        reading = stream_rows(self._queue, job_id, timeout, self._max_block)
        return self._patient(reading, timeout)

    def _patient(
        self, reading: Generator[Any, Any, R], timeout: float | None
    ) -> Generator[Any, Any, R]:
        seconds = self._wait_when_away
        return patient(reading, seconds if timeout is None else min(seconds, timeout))

    def job(self, job_id: str) -> Operation[GenerateJob]:
        check_job_id(job_id)
        return self._queue.job(job_id)

    def info(self, job_id: str) -> Operation[JobInfo]:
        check_job_id(job_id)
        return self._queue.info(job_id)

    def life(self, job_id: str) -> Operation[JobLife]:
        check_job_id(job_id)
        return read_life(job_id)

    def status(self, job_id: str) -> Operation[JobStatus]:
        check_job_id(job_id)
        return self._queue.status(job_id)

    def cancel(self, job_id: str) -> Operation[bool]:
        check_job_id(job_id)
        return self._queue.cancel(job_id)

    def delete(self, job_ids: Iterable[str]) -> Operation[int]:
        if isinstance(job_ids, str):
            raise InvalidJobError("job_ids", brief(job_ids), "a list of IDs")
        return self._delete(_checked_ids(job_ids))

    def _delete(self, job_ids: list[str]) -> Operation[int]:
        num_deleted = 0
        for start in range(0, len(job_ids), JOBS_PER_PUSH):
            num_deleted += yield from self._queue.delete(job_ids[start : start + JOBS_PER_PUSH])
        return num_deleted

    def replies(self, name: str, timeout: float | None) -> Operation[list[str]]:
        check_name("reply_to", name)
        return self._replies(name, timeout)

    def _replies(self, name: str, timeout: float | None) -> Operation[list[str]]:
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            seconds = min(left, self._max_block)
            job_ids = yield from self._queue.replies(name, JOBS_PER_PUSH, seconds)
            if job_ids or left <= self._max_block:
                return job_ids

    def overview(self, everywhere: bool, tenant: str | None) -> Operation[Overview]:
        if tenant is None:
            return read_overview(None if everywhere else self._queue_name)
        if everywhere:
            raise InvalidJobError("everywhere", brief(everywhere), "left out with a tenant")
        check_name("tenant", tenant)
        return read_overview(self._queue_name, tenant)

    def worker_models(self) -> Operation[dict[str, str | None]]:
        return self._queue.worker_models()

    def worker_cards(self) -> Operation[dict[str, ModelCard]]:
        return self._queue.worker_cards()

    def num_queued(self, tenant: str | None) -> Operation[int]:
        if tenant is not None:
            check_name("tenant", tenant)
        return self._queue.num_queued(tenant)


def _only(submission: Operation[list[str]]) -> Operation[str]:
    (job_id,) = yield from submission
    return job_id


def _rows(waiting: Telling[tuple[str, SampledRows | JobsError]]) -> Operation[SampledRows]:
    """What comes of the only job that is waited for."""
    answer: Any = None
    while not isinstance(asked := waiting.send(answer), Item):
        answer = yield asked
    _, outcome = asked.value
    if isinstance(outcome, JobsError):
        raise outcome
    return outcome


def _checked(job: GenerateJob | Mapping[str, Any], index: int) -> GenerateJob:
    if isinstance(job, GenerateJob):
        return job
    try:
        return GenerateJob.parse(job)
    except InvalidJobError as error:
        error.add_note(f"in the job at index {index}")
        raise


def _checked_ids(job_ids: Iterable[str]) -> list[str]:
    checked = list(job_ids)
    for job_id in checked:
        check_job_id(job_id)
    return checked


def _check_job_ids(job_ids: Sequence[str], num_jobs: int) -> None:
    for job_id in job_ids:
        check_job_id(job_id)
    if len(job_ids) != num_jobs:
        raise InvalidJobError("job_ids", f"{len(job_ids)} IDs", f"as many as the jobs, {num_jobs}")
    if len(set(job_ids)) != num_jobs:
        raise InvalidJobError("job_ids", "a list with an ID twice", "a list of different IDs")
