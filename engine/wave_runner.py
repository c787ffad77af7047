"""Runs a model of nanochat's own interface: `forward(ids, kv_cache)`, which calls `insert_kv`.

Such a model advances all rows of its batch in lockstep, so rows run wave by wave: those of one
request that start together share a KVCache, in which the prompt is repeated for each row. It
needs more memory and more calls than a packed model; its use is that any such model runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError
from engine.invariance import round_up
from engine.kv_cache import KVCache
from engine.longest import Longest
from engine.models.packed import ModelShape
from engine.row_state import RowState
from engine.runner import Chunk
from engine.state import RequestState


class Wave:
    """Rows of one request in lockstep. The batch is padded to whole tiles with copies of a row.

    It takes its memory in `begin`.
    """

    def __init__(self, rows: list[RowState], shape: ModelShape, row_tile: int) -> None:
        request = rows[0].request
        self.rows = rows
        self._row_tile = row_tile
        self._cache = KVCache(
            batch_size=round_up(len(rows), row_tile),
            num_heads=shape.num_kv_heads,
            seq_len=request.most_tokens,
            head_dim=shape.head_dim,
            num_layers=shape.num_layers,
        )

    def begin(self) -> None:
        """Repeat the prompt for each row."""
        self._cache.prefill(self.rows[0].request.prefix)

    @property
    def kv_tokens(self) -> int:
        return self._cache.num_rows * self._cache.num_tokens

    def keep(self, rows: set[RowState]) -> None:
        """Drop the rows that are not among these."""
        lanes = [lane for lane, row in enumerate(self.rows) if row in rows]
        if len(lanes) == len(self.rows):
            return
        self.rows = [self.rows[lane] for lane in lanes]
        padding = round_up(len(lanes), self._row_tile) - len(lanes)
        self._cache.select_rows(lanes + lanes[:1] * padding)

    def forward(self, model: Any, device: torch.device) -> Tensor:
        """Logits `[num_rows, vocab]` after each row's newest token."""
        newest = [row.tokens[-1] for row in self.rows]
        newest += newest[:1] * (self._cache.num_rows - len(newest))
        ids = torch.tensor(newest, device=device).unsqueeze(1)
        logits: Tensor = model.forward(ids, kv_cache=self._cache)
        return logits[: len(self.rows), -1].float()


class WaveRunner:
    """See `engine.runner.Runner` for the contract."""

    def __init__(self, model: Any, shape: ModelShape, row_tile: int) -> None:
        self._model = model
        self._device = torch.device(model.get_device())
        self._row_tile = row_tile
        self.shape = shape
        self.prefill_chunk = shape.max_seq_len
        self.reset()

    def reset(self) -> None:
        self._prefix_tokens = 0
        """Of the open requests' prompts."""
        self._longest = Longest()
        """Of what the open requests' sequences may come to."""
        self._waves: list[Wave] = []
        self._starting: list[Sequence[RowState]] = []
        """Waves to be made at the next forward, each of those of its rows that still run then."""
        self._wave_tokens = 0
        """Of all waves, those that start included."""

    @property
    def kv_tokens(self) -> int:
        return self._prefix_tokens + sum(wave.kv_tokens for wave in self._waves)

    def cost(self, request: RequestState, num_rows: int) -> int:
        newcomer = request.num_prompt_tokens if request.prefix is None else 0
        waves = self._wave_tokens + self._wave_cost(num_rows, request.most_tokens)
        least = self._wave_cost(1, self._longest.beside(request.most_tokens))
        return self._prefix_tokens + newcomer + max(waves, least)

    def cost_alone(self, request: RequestState) -> int:
        return request.num_prompt_tokens + self._wave_cost(1, request.most_tokens)

    def open(self, request: RequestState) -> None:
        self._prefix_tokens += request.num_prompt_tokens
        self._longest.add(request.most_tokens)
        shape = self.shape
        request.prefix = KVCache(
            1, shape.num_kv_heads, request.num_prompt_tokens, shape.head_dim, shape.num_layers
        )

    def close(self, request: RequestState) -> None:
        if request.prefix is not None:
            self._prefix_tokens -= request.num_prompt_tokens
            self._longest.remove(request.most_tokens)
            request.prefix = None

    @property
    def cached_tokens(self) -> int:
        """There is no prefix cache: a prompt's KVCache is its model's, to use as it likes."""
        return 0

    def reuse(self, request: RequestState) -> int:
        return 0

    def next_block(self, request: RequestState) -> bytes | None:
        return None

    def blocks_of(self, chunk: Chunk) -> Sequence[bytes]:
        return ()

    def start(self, rows: Sequence[RowState]) -> None:
        self._starting.append(rows)
        self._wave_tokens += self._wave_cost(len(rows), rows[0].request.most_tokens)

    def compact(self, moves: Sequence[tuple[int, int]], num_rows: int) -> None:
        """Waves drop their rows at the next forward, when it is known which ones go on."""
        if num_rows == 0:
            self._waves, self._starting, self._wave_tokens = [], [], 0

    def forward(
        self, rows: Sequence[RowState], chunks: Sequence[Chunk]
    ) -> tuple[Tensor, list[Tensor]]:
        self._regroup(set(rows))
        logits_of: dict[RowState, Tensor] = {}
        for wave in self._waves:
            logits_of.update(zip(wave.rows, wave.forward(self._model, self._device), strict=True))
        logits_of_chunks = [self._prefill(chunk) for chunk in chunks]
        logits = [logits_of[row] for row in rows]
        return torch.stack(logits) if logits else torch.empty(0, 0), logits_of_chunks

    def _regroup(self, running: set[RowState]) -> None:
        """Let finished rows go, and make the waves that start now."""
        self._waves = [wave for wave in self._waves if not running.isdisjoint(wave.rows)]
        for wave in self._waves:
            wave.keep(running)
        for starting in self._starting:
            if rows := [row for row in starting if row in running]:
                self._waves.append(Wave(rows, self.shape, self._row_tile))
                self._waves[-1].begin()  # listed before: what fails for want of memory is counted
        self._starting = []
        self._wave_tokens = sum(wave.kv_tokens for wave in self._waves)

    def _prefill(self, chunk: Chunk) -> Tensor:
        ids = torch.tensor([list(chunk.tokens)], device=self._device)
        logits: Tensor = self._model.forward(ids, kv_cache=chunk.request.prefix)
        return logits[0, logits.size(1) - chunk.num_logits :].float()

    def _wave_cost(self, num_rows: int, num_tokens: int) -> int:
        return round_up(num_rows, self._row_tile) * num_tokens


def seed_shape(model: Any) -> ModelShape:
    """Read the fields of nanochat's config; the vocabulary's size may be missing there."""
    try:
        config = model.config
        return ModelShape(
            num_layers=config.n_layer,
            num_heads=config.n_head,
            num_kv_heads=config.n_kv_head,
            head_dim=config.n_embd // config.n_head,
            vocab_size=getattr(config, "vocab_size", None) or getattr(model, "vocab_size", None),
            max_seq_len=config.sequence_len,
        )
    except AttributeError as error:
        raise ModelError(f"neither a packed model nor of nanochat's interface: {error}") from error
