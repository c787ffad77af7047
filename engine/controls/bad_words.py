"""Words that never come: their last token can't follow the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class BadWords:
    """Words of two tokens and more, by the token before their last."""

    __slots__ = ("_by_newest",)

    def __init__(self, words: Iterable[tuple[int, ...]]) -> None:
        self._by_newest: dict[int, list[tuple[tuple[int, ...], int]]] = {}
        for *before, last in words:
            self._by_newest.setdefault(before[-1], []).append((tuple(before), last))

    def __bool__(self) -> bool:
        return bool(self._by_newest)

    def after(self, prompt: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """The last tokens of those words whose others end the prompt and the row's tokens."""
        newest = tokens[-1] if tokens else prompt[-1]
        return [
            last
            for before, last in self._by_newest.get(newest, ())
            if _tail(prompt, tokens, len(before)) == before
        ]


def _tail(prompt: Sequence[int], tokens: Sequence[int], length: int) -> tuple[int, ...]:
    own = tokens[-length:]
    missing = length - len(own)
    return (*(prompt[-missing:] if missing else ()), *own)
