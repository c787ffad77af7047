"""OpenPart: a range of inputs whose results are still coming in."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.dataset.failure import Failure
from jobs.dataset.journal import InputRows, Journal
from jobs.dataset.part import Columns, PartRow, PartSummary, count_rows, read_part, write_part
from jobs.dataset.render import Render


class OpenPart:
    """What a part has: the rows of the file that it shall replace, if any, and its journal's.

    `base`: a part of before, which lacks rows that are wanted now, and `base_failed`, the inputs
    that failed in it. With `retries` these are to be tried again.
    """

    def __init__(
        self,
        journal: Journal,
        base: Path | None = None,
        base_failed: Iterable[int] = (),
        *,
        retries: bool,
    ) -> None:
        self._journal = journal
        self._base = base
        self._base_rows: Counter[int] = Counter()
        self._base_failed: frozenset[int] = frozenset()
        self._settled: set[int] = set()
        self._expected: set[int] = set()
        self.is_sealed = False
        """Whether all of the part's inputs have been read."""
        if base is not None:
            self._base_rows = count_rows(base)
        if retries:
            journal.forget_failures()
        else:
            self._base_failed = frozenset(
                index
                for index in base_failed
                # Else it was tried again, by a process that was killed.
                if journal.row_ends.get(index, 0) <= self._base_rows[index]
            )

    def close(self) -> None:
        self._journal.close()

    @property
    def failed(self) -> set[int]:
        """Indexes of the inputs that lack rows and get none."""
        return {*self._journal.failed, *self._base_failed}

    @property
    def kept_failures(self) -> frozenset[int]:
        """Indexes of inputs that failed before and were not tried again."""
        return self._base_failed

    @property
    def is_complete(self) -> bool:
        return self.is_sealed and self._settled == self._expected

    def expect(self, index: int) -> None:
        """One more input is the part's."""
        self._expected.add(index)
        if self.has_failed(index):
            self._settled.add(index)

    def has_failed(self, index: int) -> bool:
        return index in self._journal.failed or index in self._base_failed

    def is_in_journal(self, index: int) -> bool:
        """Whether rows of the input, or its failure, came since the part was last written."""
        return index in self._journal.row_ends or index in self._journal.failed

    def num_rows(self, index: int) -> int:
        """How many rows of the input are there: those from 0 up."""
        return max(self._base_rows[index], self._journal.row_ends.get(index, 0))

    def settle(self, index: int) -> None:
        """The input has all rows that it shall have."""
        self._settled.add(index)

    def add_rows(self, its: InputRows) -> None:
        self._journal.add_rows(its)
        self._settled.add(its.index)

    def add_failure(self, failure: Failure) -> None:
        self._journal.add_failure(failure)
        self._settled.add(failure.index)

    def sync(self) -> None:
        self._journal.sync()

    def failures(self) -> Iterator[Failure]:
        """Of this time."""
        return self._journal.failures()

    def write(
        self, path: Path, columns: Columns, num_samples: int, render: Render | None
    ) -> PartSummary:
        """Writes all that is there as a part."""
        base = iter(()) if self._base is None else read_part(self._base, columns)
        rows = heapq.merge(
            base, self._new_rows(columns, render), key=lambda row: (row.input_index, row.row_index)
        )
        return write_part(
            path,
            columns,
            rows,
            num_samples=num_samples,
            num_inputs=len(self._expected),
            failed=self.failed,
        )

    def remove_journal(self) -> None:
        """Once the part is in place."""
        self._journal.remove()

    def _new_rows(self, columns: Columns, render: Render | None) -> Iterator[PartRow]:
        for index in sorted(self._journal.row_ends):
            for its in self._journal.rows_of(index):
                if its.first_row >= self._base_rows[index]:  # else it was read from the base
                    yield from _part_rows(its, columns, render)


def _part_rows(its: InputRows, columns: Columns, render: Render | None) -> Iterator[PartRow]:
    provenance, prompt_logprobs = its.rows.provenance, its.rows.prompt_logprobs
    for row_index, row in enumerate(its.rows.rows, its.first_row):
        text = None
        if render is not None:  # what a stop string cut is not what the tokens say
            text = render(row.tokens) if row.text is None else row.text
        yield PartRow(
            input_index=its.index,
            id=its.id,
            row_index=row_index,
            tokens=_packed("i", row.tokens),
            mask=bytes(row.masks),
            finish_reason=row.finish_reason,
            seed=its.seed,
            model=None if provenance is None else provenance.model,
            logprobs=_packed("f", row.logprobs) if columns.logprobs else None,
            top_tokens=_packed("i", row.top_tokens) if columns.top_logprobs else None,
            top_logprobs=_packed("f", row.top_logprobs) if columns.top_logprobs else None,
            text=text,
            prompt_tokens=its.prompt_tokens,
            prompt_logprobs=_packed("f", prompt_logprobs) if columns.prompt_logprobs else None,
        )


def _packed(typecode: str, items: Sequence[Any] | None) -> bytes:
    return array(typecode, items or ()).tobytes()
