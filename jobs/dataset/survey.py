"""Survey: what the files hold, found out before any job is pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from jobs.dataset.errors import InputFileError, LineError
from jobs.dataset.file_facts import FileFacts, read_facts
from jobs.dataset.inputs import BadLine, Input, InputReader
from jobs.dataset.probe import Probe, shown_columns
from jobs.dataset.seen_ids import SeenIds
from jobs.dataset.source import Line, Source

_LINES_PER_REPORT = 5000

Progress = Callable[[str, float], None]
"""Gets what is being done, "hashing" or "reading", and how much of it is behind, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the files hold.

    `num_inputs` counts bad lines too; `num_rows` is what all others ask for; `num_bad` lacks the
    lines whose text turns out too long. `first` is the first input, with its prompt, and
    `first_bad` the first bad line.
    """

    files: tuple[FileFacts, ...]
    num_inputs: int
    num_rows: int
    num_bad: int
    num_ids: int
    first: Input
    first_bad: BadLine | None


def survey(
    source: Source,
    reader: InputReader,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    scratch: Path | None = None,
) -> Survey:
    """Reads all files once to hash them, and their first `limit` (1 or more) inputs to check them.

    Memory stays flat: of many inputs, a few bytes for each one's ID go to files in a new folder
    inside `scratch`, which is gone afterwards (see `SeenIds`).

    Raises InputFileError for a file that stops the run: one that can't be read to its end, lacks
    the columns asked for, or has no inputs; two inputs of one ID, in whatever files; and where none
    of a file's first NUM_PROBED lines is an input (see `Probe`).
    """
    _check_columns(source, reader)
    report = progress or (lambda stage, share: None)
    files = _facts(source, report)
    with SeenIds(scratch) as ids:
        count = _Count(source, reader, ids)
        count.read_all(limit, report)
        duplicate = ids.first_duplicate()
    if duplicate is not None:
        raise _duplicate_error(source, reader, *duplicate)
    assert count.first is not None
    return Survey(
        files=files,
        num_inputs=count.num_inputs,
        num_rows=count.num_rows,
        num_bad=count.num_bad,
        num_ids=count.num_ids,
        first=count.first,
        first_bad=count.first_bad,
    )


class _Count:
    """One pass over the lines."""

    def __init__(self, source: Source, reader: InputReader, ids: SeenIds) -> None:
        self._source = source
        self._reader = reader
        self._ids = ids
        self.first: Input | None = None
        self.first_bad: BadLine | None = None
        self.num_inputs = 0
        self.num_rows = 0
        self.num_bad = 0
        self.num_ids = 0

    def read_all(self, limit: int | None, report: Progress) -> None:
        probes: list[Probe] = []
        with self._source.lines() as lines:
            for line in islice(lines, limit):
                while len(probes) <= lines.file_number:
                    self._next_probe(probes)
                self._add(line, probes[-1])
                if self.num_inputs % _LINES_PER_REPORT == 0:
                    report("reading", lines.share_read())
        if self.num_inputs != limit:
            while len(probes) < len(self._source.names):
                self._next_probe(probes)
        if probes:
            probes[-1].end()
        report("reading", 1.0)

    def _next_probe(self, probes: list[Probe]) -> None:
        """Ends the last file's, which finds one without lines, and begins the next file's."""
        if probes:
            probes[-1].end()
        number = len(probes)
        columns = self._source.columns_of(number)
        probes.append(Probe(self._source.names[number], columns, self._reader.id_column))

    def _add(self, line: Line, probe: Probe) -> None:
        if probe.is_open:
            outcome = self._reader.read(line)
            probe.add(line, outcome)
        else:
            outcome = self._reader.check(line)
        self.num_inputs += 1
        if outcome.id is not None:
            self.num_ids += 1
            self._ids.add(outcome.id, line.index)
        if isinstance(outcome, BadLine):
            self.num_bad += 1
            self.first_bad = self.first_bad or outcome
            return
        self.num_rows += outcome.job.num_samples
        if self.first is None:
            self.first = outcome


def _check_columns(source: Source, reader: InputReader) -> None:
    """Of Parquet files, which tell their columns without being read."""
    for number, name in enumerate(source.names):
        columns = source.columns_of(number)
        if columns is None:
            continue
        try:
            reader.check_columns(columns)
        except LineError as error:
            raise InputFileError(name, f"{error}; it has {shown_columns(columns)}") from error


def _facts(source: Source, report: Progress) -> tuple[FileFacts, ...]:
    total = sum(path.stat().st_size for path in source.paths)
    done = 0

    def on_block(size: int) -> None:
        nonlocal done
        done += size
        report("hashing", min(done / max(total, 1), 1.0))

    named = zip(source.paths, source.names, strict=True)
    return tuple(read_facts(path, name, on_block) for path, name in named)


def _duplicate_error(
    source: Source, reader: InputReader, first: int, second: int
) -> InputFileError:
    with source.lines() as lines:
        lines.skip(first)
        earlier = next(lines)
        lines.skip(second - first - 1)
        later = next(lines)
    shown = reader.check(later).id
    return InputFileError(later.location, f"its ID, {shown!r}, is that of {earlier.location} too")
