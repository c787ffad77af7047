"""Parts: which ranges of inputs a folder has, opens and completes; failures.jsonl goes with them.

A part's footer is the truth. A part is put in place first, then failures.jsonl follows it, then its
journal goes: whoever is killed in between finds all that the next step needs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import FolderError
from jobs.dataset.failure import Failure
from jobs.dataset.folder import OutFolder
from jobs.dataset.journal import InputRows, Journal
from jobs.dataset.open_part import OpenPart
from jobs.dataset.part import PartSummary, count_rows
from jobs.dataset.placing import put_in_place
from jobs.dataset.render import Render

_MOST_OPEN = 64
"""So many may wait for stragglers; each has a file open."""


class Parts:
    """Reads the footers of all parts. With `retries`, failed inputs are to be tried again."""

    def __init__(
        self, folder: OutFolder, config: SamplingConfig, render: Render | None, *, retries: bool
    ) -> None:
        self._folder = folder
        self._config = config
        self._render = render
        self._retries = retries
        self._summaries = {number: self._summary(number) for number in folder.part_numbers()}
        self._open: dict[int, OpenPart] = {}
        self._failures = folder.failures()
        self._unfinished = {
            number
            for number, summary in self._summaries.items()
            if summary.num_samples != config.num_samples or (retries and summary.failed)
        }
        """Parts that stand and will be replaced."""
        self._settle_leftovers()

    def close(self) -> None:
        for part in self._open.values():
            part.sync()
            part.close()

    def is_complete(self, number: int) -> bool:
        """Whether there is nothing left to do in a part."""
        return number in self._summaries and number not in self._unfinished

    def num_complete(self) -> int:
        """How many inputs the complete parts hold."""
        numbers = self._summaries.keys() - self._unfinished
        return sum(self._summaries[number].num_inputs for number in numbers)

    def totals(self) -> dict[str, Any]:
        """Of all parts that stand."""
        reasons: Counter[str] = Counter()
        for summary in self._summaries.values():
            reasons.update(summary.finish_reasons)
        return {
            "inputs": sum(summary.num_inputs for summary in self._summaries.values()),
            "rows": sum(summary.rows for summary in self._summaries.values()),
            "tokens": sum(summary.tokens for summary in self._summaries.values()),
            "failed": sum(len(summary.failed) for summary in self._summaries.values()),
            "finish_reasons": dict(sorted(reasons.items())),
        }

    def number_of(self, index: int) -> int:
        """In which part an input stands."""
        return index // self._config.inputs_per_part

    def first_index(self, number: int) -> int:
        """Of the inputs in a part."""
        return number * self._config.inputs_per_part

    def open(self, number: int) -> OpenPart:
        """The part, opened if it is not."""
        part = self._open.get(number)
        if part is None:
            summary = self._summaries.get(number)
            part = self._open[number] = OpenPart(
                Journal(self._folder.journal(number)),
                base=None if summary is None else self._folder.part(number),
                base_failed=() if summary is None else summary.failed,
                retries=self._retries,
            )
        return part

    @property
    def is_full(self) -> bool:
        """Whether so many parts are open that no other one may be begun."""
        return len(self._open) >= _MOST_OPEN

    def add_rows(self, its: InputRows) -> None:
        self.open(self.number_of(its.index)).add_rows(its)

    def add_failure(self, failure: Failure) -> None:
        self.open(self.number_of(failure.index)).add_failure(failure)

    def sync(self) -> None:
        """Returns once all that was added is on the disk."""
        for part in self._open.values():
            part.sync()

    def complete(self) -> None:
        """Puts the parts in place whose inputs are all settled."""
        for number in [number for number, part in self._open.items() if part.is_complete]:
            self._complete(number, self._open.pop(number))

    def _complete(self, number: int, part: OpenPart) -> None:
        temporary = self._folder.temporary(f"part-{number:06d}")
        self._summaries[number] = part.write(
            temporary, self._config.columns, self._config.num_samples, self._render
        )
        put_in_place(temporary, self._folder.part(number))
        if number in self._unfinished:
            self._unfinished.discard(number)
            self._failures.rewrite(
                lambda index: self.number_of(index) != number or index in part.kept_failures,
                part.failures(),
            )
        else:
            self._failures.add(part.failures())
        part.remove_journal()

    def _summary(self, number: int) -> PartSummary:
        path = self._folder.part(number)
        try:
            return PartSummary.of(path)
        except (ValueError, OSError) as error:
            raise FolderError(str(path), f"can't be read: {error}") from error

    def _settle_leftovers(self) -> None:
        """What a process did not come to do after it put a part in place."""
        told: list[Failure] = []
        settled: list[Journal] = []
        for number in self._folder.journal_numbers():
            if not self.is_complete(number):
                continue
            journal = Journal(self._folder.journal(number))
            rows = count_rows(self._folder.part(number))
            if any(end > rows[index] for index, end in journal.row_ends.items()):
                self._unfinished.add(number)
                journal.close()
            else:
                told += journal.failures()
                settled.append(journal)
        self._failures.rewrite(self._is_failed, told)
        for journal in settled:
            journal.remove()

    def _is_failed(self, index: int) -> bool:
        summary = self._summaries.get(self.number_of(index))
        return summary is not None and index in summary.failed
