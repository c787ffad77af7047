"""The longest of lengths that come and go."""

from __future__ import annotations

from bisect import bisect_left, insort


class Longest:
    def __init__(self) -> None:
        self._lengths: list[int] = []
        """In order. One per active request: too few for shifting them to be felt."""

    def add(self, length: int) -> None:
        insort(self._lengths, length)

    def remove(self, length: int) -> None:
        """Take out one that was added."""
        del self._lengths[bisect_left(self._lengths, length)]

    def beside(self, length: int) -> int:
        """The longest of those that are in and this one."""
        return max([length, *self._lengths[-1:]])
