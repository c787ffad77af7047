"""Words that never come: their last token can't follow the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class BadWords:
    """Words of two tokens and more."""

    __slots__ = ("_lasts", "_lengths")

    def __init__(self, words: Iterable[tuple[int, ...]]) -> None:
        self._lasts: dict[tuple[int, ...], list[int]] = {}
        """The last tokens of words, by the tokens before."""
        self._lengths: dict[int, set[int]] = {}
        """How many tokens may stand before a last one, by the newest of them."""
        for *before, last in words:
            self._lasts.setdefault(tuple(before), []).append(last)
            self._lengths.setdefault(before[-1], set()).add(len(before))

    def __bool__(self) -> bool:
        return bool(self._lasts)

    def after(self, prompt: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """The last tokens of those words whose others end the prompt and the row's tokens."""
        newest = tokens[-1] if tokens else prompt[-1]
        tails = (_tail(prompt, tokens, length) for length in self._lengths.get(newest, ()))
        return [last for tail in tails for last in self._lasts.get(tail, ())]


def _tail(prompt: Sequence[int], tokens: Sequence[int], length: int) -> tuple[int, ...]:
    own = tokens[-length:]
    missing = length - len(own)
    return (*(prompt[-missing:] if missing else ()), *own)
