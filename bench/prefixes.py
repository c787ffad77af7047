"""What the prefix cache saves where prompts begin alike, and costs where none does."""

from __future__ import annotations

import dataclasses
import gc
import time
from statistics import median
from typing import Any

import numpy as np

from bench.config import BenchConfig
from bench.model import BenchModel
from bench.turns import Progress
from engine import Engine, EngineConfig, Request, SamplingParams
from engine.invariance import KEY_TILE, round_up

_REQUESTS, _QUICK_REQUESTS = 64, 3
_PROMPT_TOKENS = 544
_KINDS = {"shared": (512, 32), "unique": (0, _PROMPT_TOKENS)}
"""How many tokens the prompts have in common, and how many each has of its own."""
_ON, _OFF = "on", "off"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrefixFigure:
    """Of prompts of one kind, which come all at once and get one token each."""

    requests: int
    common_tokens: int
    own_tokens: int
    computed_tokens: int
    """Prompt tokens that the cache missed, in the last turn with it."""
    found_tokens: int
    """Those that it had."""
    on: list[float]
    """Seconds of each turn with the cache."""
    off: list[float]

    @property
    def ratio(self) -> float:
        """On to off, of turns on the same prompts, which came next to each other."""
        return median(on / off for on, off in zip(self.on, self.off, strict=True))

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "common_tokens": self.common_tokens,
            "own_tokens": self.own_tokens,
            "computed_tokens": self.computed_tokens,
            "found_tokens": self.found_tokens,
            "on": median(self.on),
            "off": median(self.off),
            "ratio": self.ratio,
            "repeats": {_ON: self.on, _OFF: self.off},
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    seconds: float
    computed_tokens: int
    found_tokens: int


def measure_prefixes(
    model: BenchModel, config: BenchConfig, progress: Progress
) -> dict[str, PrefixFigure]:
    """Per kind of prompts: two engines take turns in pairs, and each goes first in every other.

    Each pair has prompts of its own, of which no turn before has left anything in the cache.
    """
    num_requests = _QUICK_REQUESTS if config.is_quick else _REQUESTS
    engines = _engines(model, num_requests)
    rng = np.random.default_rng(0)
    turns: dict[str, dict[str, list[_Turn]]] = {kind: {_ON: [], _OFF: []} for kind in _KINDS}
    for pair in range(config.repeats + 1):
        for kind, lengths in _KINDS.items():
            prompts = _prompts(rng, num_requests, model.config.vocab_size, *lengths)
            for side in (_ON, _OFF) if pair % 2 == 0 else (_OFF, _ON):
                progress(f"prefixes: {kind}, {side}, " + (f"turn {pair}" if pair else "warm-up"))
                turn = _turn(engines[side], prompts)
                if pair:
                    turns[kind][side].append(turn)
    return {kind: _figure(num_requests, *_KINDS[kind], its) for kind, its in turns.items()}


def _engines(model: BenchModel, num_requests: int) -> dict[str, Engine]:
    """With the cache and without. One turn fills the budget, so that what the cache keeps has to
    go again, as in a worker that has run for a while."""
    per_request = round_up(_PROMPT_TOKENS, KEY_TILE) + KEY_TILE
    gpt = model.gpt()
    return {
        side: Engine(
            gpt,
            None,
            EngineConfig(
                max_rows=num_requests,
                kv_budget_tokens=num_requests * per_request,
                prefix_cache=side == _ON,
            ),
        )
        for side in (_ON, _OFF)
    }


def _prompts(
    rng: np.random.Generator, num_prompts: int, vocab_size: int, common: int, own: int
) -> list[list[int]]:
    beginning = rng.integers(0, vocab_size, common).tolist()
    return [beginning + rng.integers(0, vocab_size, own).tolist() for _ in range(num_prompts)]


def _turn(engine: Engine, prompts: list[list[int]]) -> _Turn:
    params = SamplingParams(max_tokens=1)
    requests = [
        Request(id=str(number), prompt_tokens=prompt, params=params)
        for number, prompt in enumerate(prompts)
    ]
    computed, found = engine.stats.prompt_tokens, engine.stats.cached_prompt_tokens
    gc.collect()
    start = time.perf_counter()
    for request in requests:
        engine.submit(request)
    while engine.has_work:
        engine.step()
    return _Turn(
        seconds=time.perf_counter() - start,
        computed_tokens=engine.stats.prompt_tokens - computed,
        found_tokens=engine.stats.cached_prompt_tokens - found,
    )


def _figure(
    num_requests: int, common_tokens: int, own_tokens: int, turns: dict[str, list[_Turn]]
) -> PrefixFigure:
    last = turns[_ON][-1]
    return PrefixFigure(
        requests=num_requests,
        common_tokens=common_tokens,
        own_tokens=own_tokens,
        computed_tokens=last.computed_tokens,
        found_tokens=last.found_tokens,
        on=[turn.seconds for turn in turns[_ON]],
        off=[turn.seconds for turn in turns[_OFF]],
    )
