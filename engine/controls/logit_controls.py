"""What a request changes of its rows' logits, in the form in which a step applies it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.controls.bad_words import BadWords
from engine.controls.structure import Structure
from engine.controls.token_counts import TokenCounts

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogitControls:
    """Of one request, the same for all of its rows."""

    prompt_tokens: Sequence[int]
    bias_tokens: IntArray
    biases: FloatArray
    """One per token of `bias_tokens`."""
    penalties: tuple[float, float, float] | None
    """Repetition, frequency, presence; None where none of them does anything."""
    seen_tokens: IntArray
    """The prompt's, each once, where the penalty of repetition counts them."""
    banned_tokens: IntArray
    bad_words: BadWords
    """Those of two tokens and more."""
    end_tokens: IntArray
    """Banned while the row has fewer than `min_tokens`."""
    min_tokens: int
    structure: Structure | None

    @property
    def first_field(self) -> str | None:
        """The name of the first parameter that does something; None where none does."""
        acting: dict[str, Any] = {
            "logit_bias": len(self.bias_tokens),
            "repetition_penalty": self.penalties is not None and self.penalties[0] != 1,
            "frequency_penalty": self.penalties is not None and self.penalties[1],
            "presence_penalty": self.penalties is not None and self.penalties[2],
            "bad_words": len(self.banned_tokens) or self.bad_words,
            "min_tokens": self.min_tokens,
            "structure": self.structure is not None,
        }
        return next((name for name, acts in acting.items() if acts), None)


class RowControls:
    """One row's place under them: what it has come to, and what follows for its next token."""

    __slots__ = ("_tokens", "counts", "its", "structure")

    def __init__(self, its: LogitControls, tokens: list[int]) -> None:
        """`tokens` are the row's own, to which others append."""
        self.its = its
        self._tokens = tokens
        self.counts = None if its.penalties is None else TokenCounts(its.seen_tokens)
        """Of what the penalties go by."""
        self.structure = None if its.structure is None else its.structure.new_row()

    def observe(self, token: int) -> None:
        """Follow the row's next token."""
        if self.counts is not None:
            self.counts.add(token)
        if self.structure is not None:
            self.structure.observe(token)

    def banned_tokens(self) -> list[IntArray]:
        """Those that can't be next, in any number of arrays."""
        its = self.its
        banned = [its.banned_tokens] if len(its.banned_tokens) else []
        if its.bad_words and (last := its.bad_words.after(its.prompt_tokens, self._tokens)):
            banned.append(as_tokens(last))
        if len(self._tokens) < its.min_tokens:
            banned.append(its.end_tokens)
        return banned


def as_tokens(tokens: Iterable[int]) -> IntArray:
    return np.array([*tokens], dtype=np.int64)
