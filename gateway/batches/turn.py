"""Turn: one process's work at a batch whose lock it holds.

    validating -> in_progress -> finalizing -> completed or expired
                              -> cancelling -> cancelled
               -> failed

Each arrow is a write of batch.json, and whoever goes on after a kill begins at the last one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway.batches.answers import Answers
from gateway.batches.batch import BatchError, Ending, RequestCounts
from gateway.batches.batch_store import BatchFolder
from gateway.batches.counts import Counts
from gateway.batches.endpoint import Endpoint
from gateway.batches.file_store import FileStore
from gateway.batches.identifiers import FILE, new_id
from gateway.batches.input_lines import InputLine, input_lines
from gateway.batches.limits import BatchLimits
from gateway.batches.requests import Requests
from gateway.batches.results import Results
from gateway.batches.sampling import Sampling
from gateway.batches.validation import Validation
from jobs import Client, ServerUnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """`served`: the model's name and its tokenizer's fingerprint, which decide what is asked."""

    redis_url: str = field(repr=False)
    limits: BatchLimits
    max_line_bytes: int
    endpoints: Mapping[str, Endpoint]
    served: str


class Stopped(Exception):
    """The gateway stops; the batch stays as it is."""


class _Ends(Exception):
    """Nothing more of the batch is to be sampled."""

    def __init__(self, ends_as: Ending) -> None:
        super().__init__(ends_as)
        self.ends_as = ends_as


class Turn:
    """`check` is called often, and raises Stopped to end the turn.

    Raises JobsError and OSError, after which another turn may go on.
    """

    def __init__(
        self,
        config: TurnConfig,
        files: FileStore,
        folder: BatchFolder,
        check: Callable[[], None],
    ) -> None:
        self._config = config
        self._files = files
        self._folder = folder
        self._check = check
        self.batch = folder.read()

    def validate(self) -> None:
        """Of a batch that is validating."""
        its = Validation(self.batch.endpoint, self._config.limits.max_lines)
        its.read(self._checked_line(line) for line in self._lines())
        if its.errors:
            self._fail(*its.errors)
            return
        self._write(
            status="in_progress",
            in_progress_at=int(time.time()),
            request_counts=RequestCounts(total=its.num_lines),
            served=self._config.served,
        )

    def sample(self) -> None:
        """Of a batch that is in progress: until all is there, or it was cancelled or expires."""
        if self.batch.served != self._config.served:
            message = "the gateway serves another model than when the batch began"
            self._fail(BatchError(code="model_changed", message=message))
            return
        with ExitStack() as stack:
            results = stack.enter_context(Results(self._folder.journal))
            client = stack.enter_context(Client(self._config.redis_url, self.batch.queue))
            ends_as = self._sample(client, results)
        now = int(time.time())
        # Now, so that whoever goes on after a kill replaces these files and adds none.
        plan = {"planned_output_id": new_id(FILE), "planned_error_id": new_id(FILE)}
        if ends_as == "cancelled":
            cancelled_at = self._folder.cancelled_at or now
            self._write(status="cancelling", cancelling_at=cancelled_at, ends_as=ends_as, **plan)
        else:
            self._write(status="finalizing", finalizing_at=now, ends_as=ends_as, **plan)

    def finish(self) -> None:
        """Of a batch that is finalizing or cancelling: writes its files."""
        assert self.batch.ends_as is not None
        with Results(self._folder.journal) as results:
            answers = Answers(self.batch, self._endpoint, self._requests(), results)
            output, errors = self._write_files(answers)
        now = int(time.time())
        self._write(
            status=self.batch.ends_as,
            output_file_id=output,
            error_file_id=errors,
            request_counts=answers.counts,
            **{f"{self.batch.ends_as}_at": now},
        )
        self._folder.clear()

    def fail(self, message: str) -> None:
        """The batch can't go on, for no fault of its caller's."""
        self._fail(BatchError(code="internal_error", message=message))

    def _sample(self, client: Client, results: Results) -> Ending:
        requests = self._requests()
        sampling = Sampling(
            self.batch.id,
            self.batch.queue,
            requests,
            results,
            in_flight=self._config.limits.in_flight,
        )
        counts = Counts(self.batch.request_counts.total)
        try:
            sampling.run(client, counts, lambda: self._look_up(counts))
        except _Ends as end:
            # What a server that is away has will end by itself, and nobody asks for it.
            with contextlib.suppress(ServerUnavailableError):
                sampling.withdraw(client)
            return end.ends_as
        return "completed"

    def _look_up(self, counts: Counts) -> None:
        """From the work, every second."""
        self._check()
        if self._folder.cancelled_at is not None:
            raise _Ends("cancelled")
        if self.batch.is_late:
            raise _Ends("expired")
        now, told = counts.now, self.batch.request_counts
        # Less than was told: what was done before this turn is not counted yet.
        if now.completed + now.failed > told.completed + told.failed:
            self._write(request_counts=now)

    def _write_files(self, answers: Answers) -> tuple[str | None, str | None]:
        """IDs of the output and the error file; None for one without a line."""
        tenant = self.batch.tenant
        good, bad = self._files.temporary(tenant), self._files.temporary(tenant)
        try:
            with good.open("wb") as output, bad.open("wb") as rest:
                for answer in answers:
                    (output if answer.is_good else rest).write(answer.text.encode())
            output_id = self._keep(good, "output", self.batch.planned_output_id)
            return output_id, self._keep(bad, "error", self.batch.planned_error_id)
        finally:
            good.unlink(missing_ok=True)
            bad.unlink(missing_ok=True)

    def _keep(self, written: Path, kind: str, file_id: str | None) -> str | None:
        if not written.stat().st_size:
            return None
        file = self._files.add(
            self.batch.tenant,
            written,
            filename=f"{self.batch.id}_{kind}.jsonl",
            purpose="batch_output",
            expires_after=self.batch.output_expires_after,
            file_id=file_id,
        )
        return file.id

    @property
    def _endpoint(self) -> Endpoint:
        return self._config.endpoints[self.batch.endpoint]

    def _requests(self) -> Requests:
        return Requests(
            self._folder.input,
            self._endpoint,
            max_line_bytes=self._config.max_line_bytes,
            check=self._check,
        )

    def _lines(self) -> Iterator[InputLine]:
        return input_lines(self._folder.input, self._config.max_line_bytes)

    def _checked_line(self, line: InputLine) -> InputLine:
        self._check()
        return line

    def _fail(self, *errors: BatchError) -> None:
        self._write(status="failed", failed_at=int(time.time()), errors=errors)
        self._folder.clear()

    def _write(self, **changes: object) -> None:
        self.batch = self.batch.model_copy(update=changes)
        self._folder.write(self.batch)
