"""What is missing: the inputs of a run that lack rows, read from the files in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice

from jobs.dataset.failure import Failure
from jobs.dataset.inputs import BadLine, Input, InputReader
from jobs.dataset.open_part import OpenPart
from jobs.dataset.parts import Parts
from jobs.dataset.progress import Progress
from jobs.dataset.selection import Selection
from jobs.dataset.source import Line, Lines
from jobs.generate_job import GenerateJob


@dataclasses.dataclass(frozen=True, slots=True)
class MissingRows:
    """`job` asks for the rows that the input lacks, from `job.first_row` on."""

    input: Input
    job: GenerateJob


@dataclasses.dataclass(frozen=True, slots=True)
class InJournal:
    """An input that is done. Whoever noted it may have been killed before its job was deleted."""

    index: int


Found = MissingRows | Failure | InJournal


def missing_rows(
    lines: Lines, reader: InputReader, selection: Selection, parts: Parts, progress: Progress
) -> Iterator[Found]:
    """Opens parts as it comes to them, and seals them once all their inputs are read.

    Gives a Failure for a line that is no input; it is not noted in its part yet. Inputs that have
    all they shall have are counted in `progress`.
    """
    limit = float("inf") if selection.limit is None else selection.limit
    while lines.index < limit:
        number = parts.number_of(lines.index)
        num_left = int(min(parts.first_index(number + 1), limit)) - lines.index
        if parts.is_complete(number):
            if lines.skip(num_left) < num_left:
                return
            continue
        first, part = lines.index, None
        for line in islice(lines, num_left):
            if line.index in selection:
                part = parts.open(number)
                part.expect(line.index)
                yield from _missing(line, reader, part, progress)
        if part is not None:
            part.is_sealed = True
        if lines.index < first + num_left:
            return


def _missing(
    line: Line, reader: InputReader, part: OpenPart, progress: Progress
) -> Iterator[Found]:
    if not part.has_failed(line.index):
        read = reader.read(line)
        if isinstance(read, BadLine):
            yield Failure(read.index, read.id, read.location, "bad line", read.reason)
            return
        first_row, wanted = part.num_rows(line.index), read.job.num_samples
        if first_row < wanted:
            rest = {"first_row": first_row, "num_samples": wanted - first_row}
            yield MissingRows(read, read.job.model_copy(update=rest))
            return
        part.settle(line.index)
    progress.num_kept += 1
    progress.num_done += 1
    if part.is_in_journal(line.index):
        yield InJournal(line.index)
