"""SamplingRun: a dataset sampled into a folder, whatever happens on the way."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow
import redis

from jobs.client import Client
from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import (
    ConfigDiffersError,
    DatasetError,
    ModelDiffersError,
    StorageError,
)
from jobs.dataset.folder import OutFolder
from jobs.dataset.inputs import InputReader
from jobs.dataset.manifest import Manifest, job_prefix, new_run_id
from jobs.dataset.missing import missing_rows
from jobs.dataset.parts import Parts
from jobs.dataset.progress import Progress
from jobs.dataset.render import renderer
from jobs.dataset.session import InputResult, Session
from jobs.dataset.source import Source
from jobs.dataset.stats import run_stats, session_stats
from jobs.dataset.survey import Survey, survey
from jobs.dataset.tolerance import Tolerance
from jobs.errors import InvalidJobError, JobsError, brief
from jobs.provenance import Provenance
from vocab import load_tokenizer, tokenizer_fingerprint

IN_FLIGHT = 1000
"""Jobs on their way at once, unless said otherwise."""
_MOST_IN_FLIGHT = 10**6


class SamplingRun:
    """Samples rows for every input of some files, into a folder of Parquet parts.

        with SamplingRun("prompts.jsonl", "samples", model="demo", num_samples=8) as run:
            for result in run.sample("redis://localhost"):
                ...

    `inputs`: JSONL (plain, .gz, .zst) or Parquet files; `out`: the folder. `model`: whose
    tokenizer renders text, a checkpoint's folder or "demo"; not needed for prompts of tokens.
    `fields` are those of SamplingConfig.

    In a folder that has a run, the same run goes on; another one raises ConfigDiffersError.
    `extend`: it may have more `num_samples` than before, and the rows that are there stay.
    `retry_failures`: inputs that failed are tried again. `overwrite`: the folder's run is deleted.

    The constructor checks its arguments. `survey` reads the files once. Entering the context, which
    does so too if need be, takes the folder; leaving it writes stats.json. Raises InputFileError,
    FolderError, ConfigDiffersError, InvalidJobError, TokenizerError.
    """

    def __init__(
        self,
        inputs: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        model: str | None = None,
        extend: bool = False,
        retry_failures: bool = False,
        overwrite: bool = False,
        **fields: Any,
    ) -> None:
        self.config = SamplingConfig.parse(fields)
        self.tokenizer = None if model is None else load_tokenizer(model)
        self._render = renderer(self.tokenizer) if self.config.text else None
        if overwrite and (extend or retry_failures):
            limit = "alone: extend and retry_failures go on with the run that it would delete"
            raise InvalidJobError("overwrite", "true", limit)
        self._extends, self._retries, self._overwrites = extend, retry_failures, overwrite
        paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        self._reader = InputReader(
            seed=self.config.seed,
            defaults=self.config.parameters,
            tokenizer=self.tokenizer,
            prompt_column=self.config.prompt_column,
            id_column=self.config.id_column,
            is_chat=self.config.chat,
        )
        self._source = Source(paths, self._reader.columns)
        self._folder = OutFolder(Path(out), self.config.selection.shard)
        self._found: Survey | None = None
        self._stack = ExitStack()
        self._may_sample = False
        self.has_begun = False
        """Whether something may have been sampled: only then is there progress."""
        self._provenances: list[Provenance] = []

    def survey(self, on_progress: Callable[[str, float], None] | None = None) -> Survey:
        """What the files hold. Reads all of them, the first time.

        `on_progress` is told what is being done and how much of it is done, from 0 to 1.
        """
        if self._found is None:
            with self._file_errors():  # of its temporary files
                self._found = survey(
                    self._source, self._reader, limit=self.config.limit, progress=on_progress
                )
        return self._found

    def __enter__(self) -> Self:
        found = self.survey()
        with self._file_errors(), ExitStack() as stack:
            self._folder.manifest()  # before anything is written into a folder that is not ours
            stack.enter_context(self._folder.locked())
            self._manifest = self._settled_manifest(found)
            self._parts = Parts(self._folder, self.config, self._render, retries=self._retries)
            stack.callback(self._parts.close)
            num_kept = self._parts.num_complete()
            self.progress = Progress(
                num_inputs=self.config.selection.count(found.num_inputs),
                num_kept=num_kept,
                num_done=num_kept,
            )
            self._stack = stack.pop_all()
        self.has_begun = self._may_sample = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._may_sample = False
        with self._stack, self._file_errors():
            is_new = self.progress.num_new > 0
            if is_new or self.is_complete:
                self._tell_stats(is_new=is_new)

    @property
    def folder(self) -> Path:
        return self._folder.path

    def totals(self) -> dict[str, Any]:
        """Counts over all parts that stand: inputs, rows, tokens, failed, finish_reasons."""
        return self._parts.totals()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.progress.num_done == self.progress.num_inputs

    def sample(
        self,
        server: str | redis.Redis,
        *,
        queue: str = "rowmill",
        in_flight: int = IN_FLIGHT,
        fail_on_error: bool | int | float | str | None = None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> Iterator[InputResult]:
        """Samples what is missing, through a queue, and gives the results as they come.

        They are on the disk a moment later. Once each time that the run is entered. `in_flight`:
        most jobs on their way at once. `fail_on_error`: true, a count or a share of this time's
        failures at which TooManyFailuresError ends the run, or in the end of the whole folder's.
        `while_waiting` is called every second or so, and may raise to end it.

        Raises ModelDiffersError where workers serve another model than that of the rows that are
        there, ServerUnavailableError where the server does not answer at the start or for ten
        minutes, StorageError where the folder can't be written. What is on the disk stays good.
        """
        if type(in_flight) is not int or not 1 <= in_flight <= _MOST_IN_FLIGHT:
            limit = f"an integer from 1 to {_MOST_IN_FLIGHT}"
            raise InvalidJobError("in_flight", brief(in_flight), limit)
        if not self._may_sample:
            raise DatasetError("a run is sampled once each time that it is entered: enter it again")
        tolerance = Tolerance.parse(fail_on_error)
        client = Client(server, queue)
        self._may_sample = False
        return self._results(client, queue, in_flight, tolerance, while_waiting)

    def check_failures(self, fail_on_error: bool | int | float | str | None) -> None:
        """Raises TooManyFailuresError where as many of the folder's inputs have failed, ever."""
        self._check_failures(Tolerance.parse(fail_on_error))

    def _results(
        self,
        client: Client,
        queue: str,
        in_flight: int,
        tolerance: Tolerance,
        while_waiting: Callable[[], None],
    ) -> Iterator[InputResult]:
        with client, self._source.lines() as lines, self._file_errors():
            for model in client.worker_models().values():
                self._check_model(model)
            missing = missing_rows(
                lines, self._reader, self.config.selection, self._parts, self.progress
            )
            session = Session(
                client,
                job_prefix(self._manifest.run_id, queue),
                missing,
                self._parts,
                self.progress,
                self._check_provenance,
                keeps_prompts=self.config.prompts,
                in_flight=in_flight,
                tolerance=tolerance,
            )
            self.progress.start()
            try:
                yield from session.results(while_waiting)
            finally:
                self.progress.stop()
            self._check_failures(tolerance)

    def _check_failures(self, tolerance: Tolerance) -> None:
        totals, last = self.totals(), self.progress.last_failure
        tolerance.check(totals["failed"], totals["inputs"], last, is_end=True)

    def _settled_manifest(self, found: Survey) -> Manifest:
        """That of the folder, which is a new one's if there was none. Raises ConfigDiffersError."""
        new = Manifest(
            run_id=new_run_id(),
            config=self.config,
            inputs=found.files,
            num_inputs=found.num_inputs,
            tokenizer=None if self.tokenizer is None else tokenizer_fingerprint(self.tokenizer),
            versions={
                "rowmill": importlib.metadata.version("rowmill"),
                "pyarrow": pyarrow.__version__,
            },
        )
        old = self._folder.manifest()
        if old is None or self._overwrites:
            self._folder.clear()
            self._folder.write_manifest(new)
            return new
        old = old.in_this_format(self.config)
        had, wanted = old.config.num_samples, self.config.num_samples
        if self._extends and wanted > had:
            old = old.renewed(config=old.config.model_copy(update={"num_samples": wanted}))
        elif self._retries:
            old = old.renewed()
        differences = old.differences(new)
        if differences:
            raise ConfigDiffersError(str(self._folder.path), differences)
        self._folder.write_manifest(old)
        return old

    def _check_provenance(self, provenance: Provenance | None) -> None:
        if provenance is not None:
            self._check_model(provenance.model)
            if provenance not in self._provenances:
                self._provenances.append(provenance)

    def _check_model(self, model: str | None) -> None:
        """The first model that is heard of is the folder's. Raises ModelDiffersError."""
        expected = self._manifest.model
        if model is None or model == expected:
            return
        if expected is None:
            self._manifest = self._manifest.model_copy(update={"model": model})
            self._folder.write_manifest(self._manifest)
            return
        # Under another run ID nobody takes what the wrong workers still give.
        self._folder.write_manifest(self._manifest.renewed())
        raise ModelDiffersError(str(self._folder.path), expected, model)

    def _tell_stats(self, *, is_new: bool) -> None:
        """Also without anything new: who completed the run may have been killed before this."""
        told = self._folder.stats()
        sessions = list(told.get("sessions", ()))
        if is_new:
            sessions.append(session_stats(self.progress, self._provenances))
        stats = run_stats(self._parts.totals(), sessions, is_complete=self.is_complete)
        if stats != told:
            self._folder.write_stats(stats)

    @contextlib.contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except JobsError:
            raise
        except OSError as error:
            path = error.filename or self._folder.path
            raise StorageError(str(path), error.strerror or str(error)) from error
