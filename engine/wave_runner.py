"""Runs a model of nanochat's own interface: `forward(ids, kv_cache)`, which calls `insert_kv`.

Such a model advances all rows of its batch in lockstep, so rows run wave by wave: those of one
request that start together share a KVCache, in which the prompt is repeated for each row. It
needs more memory and more calls than a packed model; its use is that any such model runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError
from engine.invariance import round_up
from engine.kv_cache import KVCache
from engine.models.packed import ModelShape
from engine.runner import Chunk
from engine.state import RequestState, RowState


class Wave:
    """Rows of one request in lockstep. The batch is padded to whole tiles with copies of a row."""

    def __init__(self, rows: list[RowState], shape: ModelShape, row_tile: int) -> None:
        request = rows[0].request
        self.rows = rows
        self._row_tile = row_tile
        self._cache = KVCache(
            batch_size=round_up(len(rows), row_tile),
            num_heads=shape.num_kv_heads,
            seq_len=request.num_prompt_tokens + request.max_new_tokens,
            head_dim=shape.head_dim,
            num_layers=shape.num_layers,
        )
        self._cache.prefill(request.prefix)

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
        self._starting: list[RowState] = []
        self._waves: list[Wave] = []
        self._prefixes: set[RequestState] = set()

    @property
    def kv_tokens(self) -> int:
        prefixes = sum(request.num_prompt_tokens for request in self._prefixes)
        return prefixes + sum(wave.kv_tokens for wave in self._waves)

    def cost(self, requests: Sequence[RequestState], starting: Mapping[RequestState, int]) -> int:
        prefixes = sum(request.num_prompt_tokens for request in requests)
        new_waves = Counter(row.request for row in self._starting) + Counter(starting)
        running = sum(wave.kv_tokens for wave in self._waves)
        running += sum(self._wave_cost(request, n) for request, n in new_waves.items())
        least = max((self._wave_cost(request, 1) for request in requests), default=0)
        return prefixes + max(running, least)

    def open(self, request: RequestState) -> None:
        self._prefixes.add(request)
        shape = self.shape
        request.prefix = KVCache(
            1, shape.num_kv_heads, request.num_prompt_tokens, shape.head_dim, shape.num_layers
        )

    def close(self, request: RequestState) -> None:
        self._prefixes.discard(request)
        request.prefix = None

    def start(self, slot: int, row: RowState) -> None:
        self._starting.append(row)

    def compact(self, moves: Sequence[tuple[int, int]], num_rows: int) -> None:
        """Waves drop their rows at the next forward, when it is known which ones go on."""
        if num_rows == 0:
            self._waves, self._starting = [], []

    def forward(self, rows: Sequence[RowState], chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        self._regroup(set(rows))
        logits_of: dict[RowState, Tensor] = {}
        for wave in self._waves:
            logits_of.update(zip(wave.rows, wave.forward(self._model, self._device), strict=True))
        ends = [self._prefill(chunk) for chunk in chunks]
        return _stack([logits_of[row] for row in rows]), _stack(ends)

    def _regroup(self, running: set[RowState]) -> None:
        """Let finished rows go, and make a wave of the rows of each request that start now."""
        self._waves = [wave for wave in self._waves if not running.isdisjoint(wave.rows)]
        for wave in self._waves:
            wave.keep(running)
        starting: dict[RequestState, list[RowState]] = {}
        for row in self._starting:
            if row in running:
                starting.setdefault(row.request, []).append(row)
        self._waves += [Wave(rows, self.shape, self._row_tile) for rows in starting.values()]
        self._starting = []

    def _prefill(self, chunk: Chunk) -> Tensor:
        ids = torch.tensor([list(chunk.tokens)], device=self._device)
        logits: Tensor = self._model.forward(ids, kv_cache=chunk.request.prefix)
        return logits[0, -1].float()

    def _wave_cost(self, request: RequestState, num_rows: int) -> int:
        tokens = request.num_prompt_tokens + request.max_new_tokens
        return round_up(num_rows, self._row_tile) * tokens


def _stack(logits: list[Tensor]) -> Tensor:
    return torch.stack(logits) if logits else torch.empty(0, 0)


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
