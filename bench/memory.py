"""How much memory rows take: of keys and values, and of a process.

On a CPU the size of a process is what the kernel counts as resident; on a GPU it is what torch has
allocated there.
"""

from __future__ import annotations

import dataclasses

from bench.config import BenchConfig
from bench.fresh_process import run_fresh
from bench.model import BenchModel
from bench.names import ROWMILL, SEQUENTIAL
from bench.peers.rowmill import MAX_ROWS
from engine import Engine, EngineConfig, Request, SamplingParams

_ROWS = (1, 4, 16, 64)
_PROMPT_TOKENS = 512
_NEW_TOKENS = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KVFigure:
    """The most that Rowmill's KV caches held while one request ran."""

    rows: int
    prompt_tokens: int
    new_tokens: int
    bytes: int
    shared_bytes: int
    """A prompt once for all its rows: prompt + rows * new."""
    copied_bytes: int
    """A prompt for every row: rows * (prompt + new)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigures:
    kv: list[KVFigure]
    long_prompt_peak_bytes: dict[str, int]
    """Per engine: by how much the workload made a fresh process grow at most, after its model was
    loaded and warm."""


def measure_memory(model: BenchModel, config: BenchConfig) -> MemoryFigures:
    """Raises BenchError where a process fails."""
    prompt, new = (64, 8) if config.is_quick else (_PROMPT_TOKENS, _NEW_TOKENS)
    return MemoryFigures(
        kv=[kv_figure(model, rows, prompt, new) for rows in _ROWS],
        long_prompt_peak_bytes={
            peer: run_fresh("bench.resident", config, peer=peer) for peer in (ROWMILL, SEQUENTIAL)
        },
    )


def kv_figure(
    model: BenchModel, num_rows: int, num_prompt_tokens: int, num_new_tokens: int
) -> KVFigure:
    engine = Engine(model.gpt(), None, EngineConfig(max_rows=MAX_ROWS))
    params = SamplingParams(max_tokens=num_new_tokens)
    prompt = [0] * num_prompt_tokens
    engine.submit(Request(id="a", prompt_tokens=prompt, num_samples=num_rows, params=params))
    peak = 0
    while engine.has_work:
        engine.step()
        peak = max(peak, engine.kv_tokens)
    per_token = model.kv_bytes_per_token
    return KVFigure(
        rows=num_rows,
        prompt_tokens=num_prompt_tokens,
        new_tokens=num_new_tokens,
        bytes=peak * per_token,
        shared_bytes=(num_prompt_tokens + num_rows * num_new_tokens) * per_token,
        copied_bytes=num_rows * (num_prompt_tokens + num_new_tokens) * per_token,
    )
