"""Counts: how many lines of a batch are done, while it runs."""

from __future__ import annotations

from gateway.batches.batch import RequestCounts
from gateway.batches.results import line_of


class Counts:
    """A line is done once all its prompts are, and has failed where one of them did."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left: dict[int, int] = {}
        self._failed: set[int] = set()
        self._num_completed = 0
        self._num_failed = 0

    def begin(self, line: int, num_prompts: int) -> None:
        self._left[line] = num_prompts

    def refuse(self) -> None:
        """A line has no prompts that can be run."""
        self._num_failed += 1

    def end(self, place: int, *, has_failed: bool) -> None:
        """One prompt of a line is done."""
        line = line_of(place)
        if has_failed:
            self._failed.add(line)
        self._left[line] -= 1
        if self._left[line]:
            return
        del self._left[line]
        if line in self._failed:
            self._num_failed += 1
        else:
            self._num_completed += 1

    @property
    def now(self) -> RequestCounts:
        return RequestCounts(
            total=self._total, completed=self._num_completed, failed=self._num_failed
        )
