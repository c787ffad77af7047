"""What the engine asks of the part that holds the caches and runs the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from engine.models.packed import ModelShape
from engine.row_state import RowState
from engine.state import RequestState


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a prompt that a step prefills: tokens `start` to `end`."""

    request: RequestState
    start: int
    end: int

    @property
    def tokens(self) -> Sequence[int]:
        return self.request.request.prompt_tokens[self.start : self.end]

    @property
    def previous_tokens(self) -> Sequence[int]:
        """The token before each; the prompt's first has itself there."""
        prompt = self.request.request.prompt_tokens
        return [prompt[max(self.start - 1, 0)], *prompt[self.start : self.end - 1]]

    @property
    def is_last(self) -> bool:
        return self.end == self.request.num_prompt_tokens

    @property
    def num_logits(self) -> int:
        """How many of its tokens, the last ones, logits are wanted of."""
        if self.request.params.return_prompt_logprobs:
            return self.end - self.start
        return int(self.is_last)


class Runner(Protocol):
    """PackedRunner is one, for our own models, WaveRunner another, for the seed's interface."""

    shape: ModelShape
    prefill_chunk: int
    """Prompts are prefilled in pieces of this many tokens, counted from their start."""

    @property
    def kv_tokens(self) -> int:
        """Tokens for which memory is allocated now, or is to be where that has just failed; never
        above the budget, but for a request that needs more than all of it and runs alone."""

    def cost(self, request: RequestState, num_rows: int) -> int:
        """Most tokens of memory that may come to be needed at once, between steps.

        For the open requests, the rows that run, and this request, open or not, with so many more
        rows. It leaves room for at least one row of every request, so that each can always go on.
        """

    def cost_alone(self, request: RequestState) -> int:
        """The least that a request needs: its cost with one row where nothing else is open."""

    @property
    def cached_tokens(self) -> int:
        """Of `kv_tokens`, those of prompts that no request needs any more."""

    def open(self, request: RequestState) -> None:
        """Make room for the request's prompt."""

    def close(self, request: RequestState) -> None:
        """Give the prompt's room back, if it has any."""

    def reuse(self, request: RequestState) -> int:
        """Take from the prefix cache what follows in the prompt on its prefilled tokens. Returns
        how many tokens that is; never all that are left."""

    def next_block(self, request: RequestState) -> bytes | None:
        """The name of the block that the prompt would take next from the cache, if any."""

    def blocks_of(self, chunk: Chunk) -> Sequence[bytes]:
        """The names of the blocks that will be in the cache once the chunk was run."""

    def forward(
        self, rows: Sequence[RowState], chunks: Sequence[Chunk]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the rows' newest tokens and the chunks, all at once.

        Returns float32 logits `[num_rows, vocab]` of the rows, and per chunk `[num_logits, vocab]`.
        """

    def start(self, rows: Sequence[RowState]) -> None:
        """Rows of one open request, at least one, join in the next free slots."""

    def compact(self, moves: Sequence[tuple[int, int]], num_rows: int) -> None:
        """Rows left: those at the tail fill the holes, by moves from slot to slot, in order."""

    def reset(self) -> None:
        """Forget all requests and rows, and free their memory; also after a failure halfway."""
