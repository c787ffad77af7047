"""Session: one process's turn at a run, from the rows that are missing to a store that has them."""

from __future__ import annotations

import dataclasses
import time
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from jobs.client import Client
from jobs.dataset.failure import Failure
from jobs.dataset.flow import Flow, Outcome
from jobs.dataset.journal import InputRows
from jobs.dataset.missing import Found, InJournal, MissingRows
from jobs.dataset.patience import Patience
from jobs.dataset.progress import Progress
from jobs.dataset.tolerance import Tolerance
from jobs.errors import JobFailedError
from jobs.generate_job import GenerateJob
from jobs.provenance import Provenance
from jobs.sampled_rows import Row, SampledRows

_PUSH_AT_ONCE = 128
_TURN_SECONDS = 1.0
_SECONDS_BETWEEN_COUNTS = 5.0
"""Of workers, once there are any."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputResult:
    """What became of an input: new rows, from `first_row` on, or a failure."""

    index: int
    id: str | None
    first_row: int = 0
    rows: tuple[Row, ...] = ()
    failure: Failure | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What is kept of an input while its job is on the way."""

    index: int
    id: str | None
    location: str
    seed: int
    first_row: int
    num_rows: int
    prompt_tokens: bytes | None

    def failure(self, kind: str, reason: str) -> Failure:
        return Failure(self.index, self.id, self.location, kind, reason)


class Store(Protocol):
    """Where results go."""

    @property
    def is_full(self) -> bool:
        """Whether no more may be on the way until some of it is complete."""

    def add_rows(self, its: InputRows) -> None: ...

    def add_failure(self, failure: Failure) -> None: ...

    def sync(self) -> None:
        """Returns once all that was added is on the disk."""

    def complete(self) -> None:
        """Called after each `sync`: what is whole may be put in place."""


class Session:
    """`missing`: what to sample, into `store`. `check_model` is told where results come from, and
    may refuse."""

    def __init__(
        self,
        client: Client,
        job_prefix: str,
        missing: Iterator[Found],
        store: Store,
        progress: Progress,
        check_model: Callable[[Provenance | None], None],
        *,
        keeps_prompts: bool,
        in_flight: int,
        tolerance: Tolerance,
    ) -> None:
        self._job_prefix = job_prefix
        self._missing = missing
        self._into = store
        self._progress = progress
        self._check_model = check_model
        self._keeps_prompts = keeps_prompts
        self._in_flight = in_flight
        self._tolerance = tolerance
        self._client = client
        self._next_count = time.monotonic()
        self._flow = Flow(client, f"sample-{job_prefix}")
        self._patience = Patience()
        self._sent: dict[str, _Sent] = {}
        self._is_read = False
        self._on_disk: list[str] = []
        """IDs of jobs that the server need not keep."""

    def results(self, while_waiting: Callable[[], None]) -> Iterator[InputResult]:
        """Until nothing is missing. `while_waiting` is called every second or so, and may raise."""
        while True:
            self._count_workers()
            while_waiting()
            yield from self._push()
            if self._is_read and not self._flow:
                break
            yield from self._take()
            self._store()
            self._check_failures()
        self._store()
        with self._patience:
            self._flow.finish()
        self._check_failures()

    def _count_workers(self) -> None:
        """Now and then."""
        if time.monotonic() >= self._next_count:
            with self._patience:
                self._progress.num_workers = len(self._client.worker_models())
            pause = _SECONDS_BETWEEN_COUNTS if self._progress.num_workers else _TURN_SECONDS
            self._next_count = time.monotonic() + pause

    def _check_failures(self) -> None:
        its = self._progress
        self._tolerance.check(its.num_failed, its.num_new, its.last_failure)

    def _push(self) -> Iterator[InputResult]:
        """Sends jobs on their way, many at a time, while there is room."""
        chunk = max(1, min(_PUSH_AT_ONCE, self._in_flight // 8))
        while not self._is_read and not self._into.is_full:
            if len(self._flow) + chunk > self._in_flight:
                return
            read = list(islice(self._missing, chunk))
            self._is_read = len(read) < chunk
            jobs = [self._send(wanted) for wanted in read if isinstance(wanted, MissingRows)]
            if jobs:
                with self._patience:
                    self._flow.push(jobs)
            for found in read:
                if isinstance(found, Failure):
                    yield self._failed(found)
                elif isinstance(found, InJournal):
                    self._on_disk.append(self._job_id(found.index))

    def _take(self) -> Iterator[InputResult]:
        with self._patience:
            for job_id, outcome in self._flow.take(_TURN_SECONDS):
                sent = self._sent.pop(job_id)
                yield self._ended(sent, outcome)
                self._on_disk.append(job_id)

    def _store(self) -> None:
        """What came is on the disk, and then no longer on the server."""
        self._into.sync()
        if self._on_disk:
            with self._patience:
                self._flow.forget(self._on_disk)
                self._on_disk.clear()
        self._into.complete()

    def _send(self, wanted: MissingRows) -> tuple[str, GenerateJob]:
        job_id = self._job_id(wanted.input.index)
        prompt = array("I", wanted.job.prompt_tokens).tobytes() if self._keeps_prompts else None
        self._sent[job_id] = _Sent(
            index=wanted.input.index,
            id=wanted.input.id,
            location=wanted.input.location,
            seed=wanted.job.seed,
            first_row=wanted.job.first_row,
            num_rows=wanted.job.num_samples,
            prompt_tokens=prompt,
        )
        return job_id, wanted.job

    def _job_id(self, index: int) -> str:
        return f"{self._job_prefix}-{index}"

    def _ended(self, sent: _Sent, outcome: Outcome) -> InputResult:
        if not isinstance(outcome, SampledRows):
            reason = outcome.reason if isinstance(outcome, JobFailedError) else str(outcome)
            return self._failed(sent.failure(type(outcome).__name__, reason))
        if len(outcome.rows) != sent.num_rows:
            reason = f"{len(outcome.rows)} rows came, where {sent.num_rows} were asked for"
            return self._failed(sent.failure("WrongRows", reason))
        self._check_model(outcome.provenance)
        its = InputRows(
            index=sent.index,
            id=sent.id,
            seed=sent.seed,
            first_row=sent.first_row,
            rows=outcome,
            prompt_tokens=sent.prompt_tokens,
        )
        self._into.add_rows(its)
        self._progress.num_done += 1
        self._progress.num_rows += len(outcome.rows)
        self._progress.num_tokens += sum(len(row.tokens) for row in outcome.rows)
        return InputResult(
            index=sent.index, id=sent.id, first_row=sent.first_row, rows=outcome.rows
        )

    def _failed(self, failure: Failure) -> InputResult:
        self._into.add_failure(failure)
        self._progress.num_done += 1
        self._progress.num_failed += 1
        self._progress.last_failure = f"{failure.location}: {failure.reason}"
        return InputResult(index=failure.index, id=failure.id, failure=failure)
