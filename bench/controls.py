"""What a step of 64 rows takes: plain, with one setting, each with its own, logprobs, a schema."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from bench.config import BenchConfig
from bench.model import BenchModel
from bench.turns import Progress
from engine import Engine, EngineConfig, Request, SamplingParams
from vocab import ByteTokenizer

_ROWS, _PROMPT_TOKENS, _STEPS = 64, 64, 48
_QUICK_ROWS, _QUICK_STEPS = 3, 4
_PLAIN, _EQUAL, _DIFFERENT = "plain", "equal", "different"
_LOGPROBS, _TOP_LOGPROBS, _STRUCTURED = "logprobs", "top_logprobs", "structured"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ControlsFigures:
    rows: int
    turns: dict[str, list[float]]
    """Per kind of rows, milliseconds per step, the median of each turn."""

    def milliseconds(self, kind: str) -> float:
        return median(self.turns[kind])

    def ratio(self, kind: str, other: str) -> float:
        """Of turns that came next to each other, so that both had the machine in one mood."""
        pairs = zip(self.turns[kind], self.turns[other], strict=True)
        return median(its / others for its, others in pairs)

    def ratios(self) -> dict[str, float]:
        """Those that are aimed at, and others."""
        pairs = [
            (_DIFFERENT, _EQUAL),
            (_EQUAL, _PLAIN),
            (_DIFFERENT, _PLAIN),
            (_LOGPROBS, _PLAIN),
            (_TOP_LOGPROBS, _PLAIN),
            (_STRUCTURED, _PLAIN),
        ]
        return {
            f"{kind} / {other}": self.ratio(kind, other)
            for kind, other in pairs
            if kind in self.turns
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "milliseconds_per_step": {kind: self.milliseconds(kind) for kind in self.turns},
            "ratios": self.ratios(),
            "turns": self.turns,
        }


class _Bytes(ByteTokenizer):
    """Of no special tokens, so that it fits the smallest model. Stop strings and schemas need one;
    these also need a token that ends rows."""

    def __init__(self) -> None:
        super().__init__(())

    def get_bos_token_id(self) -> int:
        return 0


def measure_controls(model: BenchModel, config: BenchConfig, progress: Progress) -> ControlsFigures:
    """The kinds take turns on one engine, in another order each time."""
    num_rows, num_steps = (_QUICK_ROWS, _QUICK_STEPS) if config.is_quick else (_ROWS, _STEPS)
    engine = Engine(model.gpt(), _Bytes(), EngineConfig(max_rows=num_rows))
    kinds = list(_kinds(num_steps))
    turns: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(config.repeats + 1):
        for kind in kinds if turn % 2 == 0 else kinds[::-1]:
            progress(f"controls: {kind}, " + (f"turn {turn}" if turn else "warm-up"))
            params = [_kinds(num_steps)[kind](row) for row in range(num_rows)]
            milliseconds = _step_time(engine, params, num_steps)
            if turn:
                turns[kind].append(milliseconds)
    return ControlsFigures(rows=num_rows, turns=turns)


def _kinds(num_steps: int) -> dict[str, Callable[[int], SamplingParams]]:
    """Per kind, what its n-th row asks for; of schemas only where llguidance is installed."""
    plain = SamplingParams(max_tokens=num_steps, ignore_eos=True)
    likely = dataclasses.replace(plain, logprobs=True)
    kinds: dict[str, Callable[[int], SamplingParams]] = {
        _PLAIN: lambda row: plain,
        _EQUAL: lambda row: _setting(0, num_steps),
        _DIFFERENT: lambda row: _setting(row, num_steps),
        _LOGPROBS: lambda row: likely,
        _TOP_LOGPROBS: lambda row: dataclasses.replace(likely, top_logprobs=5),
    }
    if find_spec("llguidance") is not None:
        kinds[_STRUCTURED] = lambda row: _structured(row, num_steps)
    return kinds


def _setting(n: int, num_steps: int) -> SamplingParams:
    """The n-th of 64, each of all controls and filters."""
    return SamplingParams(
        max_tokens=num_steps,
        min_tokens=num_steps - 1,
        ignore_eos=True,
        stop=(f"stop {n}", "\n\n"),
        stop_token_ids=(n + 1,),
        temperature=0.5 + n / 64,
        top_k=40 + 50 * n,
        top_p=0.7 + n / 256,
        min_p=n / 10_000,
        repetition_penalty=1.05 + n / 200,
        presence_penalty=n / 64,
        frequency_penalty=0.1 + n / 100,
        logit_bias={token: 0.5 + n / 64 for token in range(n, n + 16)},
        bad_words=[(n + 20,), (n + 21, n + 22), (n + 23, n + 24, n + 25)],
    )


def _structured(n: int, num_steps: int) -> SamplingParams:
    """The n-th of 64, each with a schema of its own that takes more tokens than there are steps."""
    items = {"type": "integer"}
    schema = {"type": "array", "items": items, "minItems": num_steps + n}
    return SamplingParams(max_tokens=num_steps, json_schema=schema)


def _step_time(engine: Engine, params: list[SamplingParams], num_steps: int) -> float:
    """Milliseconds of the median step in which every row takes a token and no prompt is read."""
    rng = np.random.default_rng(0)
    vocab_size = engine.model.shape.vocab_size
    for row, its in enumerate(params):
        prompt = rng.integers(0, vocab_size, _PROMPT_TOKENS).tolist()
        engine.submit(Request(id=str(row), prompt_tokens=prompt, params=its))
    gc.collect()
    times = []
    while engine.has_work:
        before = engine.stats.tokens
        was_running = engine.num_running_rows == len(params)
        start = time.perf_counter()
        engine.step()
        elapsed = time.perf_counter() - start
        if was_running and engine.stats.tokens - before == len(params):
            times.append(elapsed)
    assert len(times) >= num_steps // 2, "rows ended early"
    return 1e3 * median(times)
