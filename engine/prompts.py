"""What the packed runner asks of the part that holds prompts' keys and values.

PromptPages is one, for the native kernel, PromptSlots another, for torch's attention. Both keep
what prompts have in common in a PrefixCache, whose memory counts as theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.runner import Chunk
from engine.state import RequestState


class MakeRoom(Protocol):
    def __call__(self, num_tokens: int, *, must: bool = True) -> bool:
        """Whether there is memory for so many tokens more, within the budget.

        The cache gives its blocks for it; where it `must` be there, all else that can be spared
        is given, too.
        """


class Prompts(Protocol):
    @property
    def kv_tokens(self) -> int:
        """Tokens for which memory is allocated, the cache's included."""

    def cost(self, newcomer: RequestState | None) -> int:
        """Tokens that the open prompts, and this one, may come to need: without what the cache
        can give back."""

    def cost_alone(self, request: RequestState) -> int:
        """Tokens that the prompt needs where there is no other."""

    def open(self, request: RequestState) -> None:
        """A prompt comes; `request.prefix` is its place."""

    def close(self, request: RequestState) -> None:
        """It leaves. What the cache holds of it stays there."""

    def reuse(self, request: RequestState) -> int:
        """Take from the cache what follows on the tokens that are there; returns how many."""

    def prepare(self, chunks: Sequence[Chunk]) -> None:
        """There is to be memory for the keys and values of these chunks."""

    def finish(self, chunk: Chunk) -> None:
        """The chunk's keys and values were written."""

    def trim(self) -> None:
        """Give back what growth keeps in reserve."""
