"""Runs a packed model: all rows and all chunks of a step in one forward.

Prompts are kept in PromptPages, or in torch's way in PromptSlots. What the rows have generated,
their suffixes, is kept in one KVCache with a slot per row. Whether its request has one row or many,
a row attends to both in the same way: were it otherwise for one, a row's bits would depend on
num_samples. The native kernel goes on from the prompt's keys to the row's own; torch's way attends
to both apart and merges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.invariance import KEY_TILE, PREFILL_CHUNK, power_of_two, round_up
from engine.kv_budget import KVBudget
from engine.kv_cache import KVCache
from engine.longest import Longest
from engine.models.packed import Attend, PackedModel
from engine.native import kernels_for
from engine.native_attention import NativeAttention
from engine.packed_attention import PackedAttention
from engine.prefix_cache import PrefixCache
from engine.prompt_pages import PAGE, PromptPages
from engine.prompt_slots import PromptSlots
from engine.prompts import Prompts
from engine.row_state import RowState
from engine.runner import Chunk
from engine.state import RequestState


class PackedRunner:
    """See `engine.runner.Runner` for the contract."""

    prefill_chunk = PREFILL_CHUNK

    def __init__(
        self,
        model: PackedModel,
        max_rows: int,
        budget: KVBudget,
        row_tile: int,
        *,
        keeps_prefixes: bool,
    ) -> None:
        """`row_tile`: the rows of every product are padded to a multiple of it."""
        self.shape = model.shape
        self._model = model
        self._max_rows = max_rows
        self._budget = budget
        self._row_tile = row_tile
        self._keeps_prefixes = keeps_prefixes
        self._device = torch.device(model.get_device())
        self._like = torch.empty(0, dtype=model.dtype, device=self._device)
        """What the caches are made like."""
        self._kernels = kernels_for(self._like)
        self.reset()

    def reset(self) -> None:
        block_tokens = PREFILL_CHUNK if self._kernels is None else PAGE
        self._cache = PrefixCache(block_tokens, is_on=self._keeps_prefixes)
        self._prompts = self._new_prompts()
        self._longest = Longest()
        """Of what the rows of the open requests may come to."""
        self._rows: list[RowState] = []
        """Those in the batch, by slot; the newest may not be in the suffixes' cache yet."""
        self._suffixes = KVCache(
            0, self.shape.num_kv_heads, 0, self.shape.head_dim, self.shape.num_layers
        )

    @property
    def kv_tokens(self) -> int:
        return self._prompts.kv_tokens + self._suffixes.num_rows * self._suffixes.num_tokens

    @property
    def cached_tokens(self) -> int:
        return self._cache.num_idle_tokens

    def cost(self, request: RequestState, num_rows: int) -> int:
        newcomer = request if request.prefix is None else None
        num_slots = self._slots_for(len(self._rows) + num_rows)
        longest = self._longest.beside(request.max_new_tokens)
        return self._prompts.cost(newcomer) + num_slots * round_up(longest, KEY_TILE)

    def cost_alone(self, request: RequestState) -> int:
        return self._prompts.cost_alone(request) + round_up(request.max_new_tokens, KEY_TILE)

    def open(self, request: RequestState) -> None:
        self._prompts.open(request)
        self._longest.add(request.max_new_tokens)

    def close(self, request: RequestState) -> None:
        if request.prefix is not None:
            self._prompts.close(request)
            self._longest.remove(request.max_new_tokens)
            self._make_room(0, must=False)  # one that ran alone may leave more than the budget has

    def reuse(self, request: RequestState) -> int:
        return self._prompts.reuse(request)

    def next_block(self, request: RequestState) -> bytes | None:
        number = request.num_prefilled // self._cache.block_tokens
        is_readable = number < self._cache.num_readable(request)
        return self._cache.names(request)[number] if is_readable else None

    def blocks_of(self, chunk: Chunk) -> Sequence[bytes]:
        size = self._cache.block_tokens
        return self._cache.names(chunk.request)[chunk.start // size : chunk.end // size]

    def start(self, rows: Sequence[RowState]) -> None:
        first = len(self._rows)
        self._rows += rows
        for slot in range(first, min(len(self._rows), self._suffixes.num_rows)):
            self._suffixes.clear_row(slot)

    def compact(self, moves: Sequence[tuple[int, int]], num_rows: int) -> None:
        num_slots = self._suffixes.num_rows
        for source, target in moves:
            self._rows[target] = self._rows[source]
            if source < num_slots:
                self._suffixes.move_row(source, target)
            elif target < num_slots:  # a row that joined in this step has no suffix yet
                self._suffixes.clear_row(target)
        del self._rows[num_rows:]
        if not self._rows:
            self._suffixes.resize(0, 0)

    def forward(
        self, rows: Sequence[RowState], chunks: Sequence[Chunk]
    ) -> tuple[Tensor, list[Tensor]]:
        self._prompts.prepare(chunks)
        self._fit_suffixes(rows)
        tokens = [row.tokens[-1] for row in rows]
        positions = [row.position for row in rows]
        wanted = list(range(len(rows)))
        for chunk in chunks:
            tokens += chunk.tokens
            positions += range(chunk.start, chunk.end)
            wanted += range(len(tokens) - chunk.num_logits, len(tokens))
        attend = self._attention(rows, chunks)
        logits = self._model(
            self._padded(tokens),
            self._padded(positions),
            attend,
            self._padded(wanted) if chunks else None,
            *self._previous(rows, chunks),
        )
        for chunk in chunks:
            self._prompts.finish(chunk)
        sizes = [len(rows), *(chunk.num_logits for chunk in chunks)]
        logits_RV, *logits_of = torch.split(logits[: len(wanted)], sizes)
        return logits_RV, logits_of

    def _previous(self, rows: Sequence[RowState], chunks: Sequence[Chunk]) -> list[Tensor]:
        """The token before each of the batch, for a model that reads it."""
        if not self.shape.reads_previous:
            return []
        previous = [row.previous_token for row in rows]
        for chunk in chunks:
            previous += chunk.previous_tokens
        return [self._padded(previous)]

    def _new_prompts(self) -> Prompts:
        its = (self.shape, self._like, self._cache, self._make_room)
        if self._kernels is None:
            return PromptSlots(*its, max_rows=self._max_rows)
        return PromptPages(*its)

    def _attention(self, rows: Sequence[RowState], chunks: Sequence[Chunk]) -> Attend:
        if self._kernels is None or not (rows or chunks):
            return PackedAttention(self.shape, rows, chunks, self._suffixes, self._device)
        self._suffixes.allocate(self._like)
        return NativeAttention(self._kernels, self.shape, rows, chunks, self._suffixes)

    def _padded(self, numbers: list[int]) -> Tensor:
        padding = [0] * (round_up(len(numbers), self._row_tile) - len(numbers))
        return torch.tensor(numbers + padding, dtype=torch.long, device=self._device)

    def _slots_for(self, num_rows: int) -> int:
        return min(power_of_two(num_rows, 1), self._max_rows)

    def _fit_suffixes(self, rows: Sequence[RowState]) -> None:
        """Grow the suffixes' cache where these rows, with their newest token, do not fit it."""
        cache = self._suffixes
        longest = _longest(rows)
        if len(rows) <= cache.num_rows and longest <= cache.num_tokens:
            return
        limit = round_up(max(row.request.max_new_tokens for row in rows), KEY_TILE)
        num_tokens = min(power_of_two(longest, KEY_TILE), limit)
        num_rows = self._slots_for(len(rows))
        kept_rows, kept_tokens = max(num_rows, cache.num_rows), max(num_tokens, cache.num_tokens)
        growth = kept_rows * kept_tokens - cache.num_rows * cache.num_tokens
        if not self._make_room(growth, must=False):
            self._prompts.trim()
            kept_rows, kept_tokens = num_rows, num_tokens
        cache.resize(kept_rows, kept_tokens)

    def _make_room(self, num_tokens: int, *, must: bool = True) -> bool:
        """See `engine.prompts.MakeRoom`."""
        self._cache.evict(max(self.kv_tokens + num_tokens - self._budget.tokens, 0))
        fits = self.kv_tokens + num_tokens <= self._budget.tokens
        if must and not fits:
            self._trim()
        return must or fits

    def _trim(self) -> None:
        """Give back what growth keeps in reserve, down to what `cost` counts on."""
        self._prompts.trim()
        num_rows = self._slots_for(len(self._rows)) if self._rows else 0
        self._suffixes.resize(num_rows, round_up(_longest(self._rows), KEY_TILE))


def _longest(rows: Sequence[RowState]) -> int:
    return max((len(row.tokens) for row in rows), default=0)
