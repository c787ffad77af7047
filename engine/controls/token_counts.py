"""Which tokens a row holds, and how often, kept from token to token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROOM = 64


class TokenCounts:
    __slots__ = ("_counts", "_places", "_tokens")

    def __init__(self, seen: NDArray[np.int64]) -> None:
        """`seen` are distinct tokens that are listed from the start, with a count of 0."""
        self._tokens = np.concatenate([seen, np.zeros(_ROOM, np.int64)])
        self._counts = np.zeros(len(self._tokens), np.float32)
        self._places = {token: place for place, token in enumerate(seen.tolist())}

    def add(self, token: int) -> None:
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._tokens[place] = token
        self._counts[place] += 1

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Each once."""
        return self._tokens[: len(self._places)]

    @property
    def counts(self) -> NDArray[np.float32]:
        """How often each of `tokens` was added."""
        return self._counts[: len(self._places)]
