"""Requests in short, a small tokenizer, and running requests to their end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine import Engine, EngineConfig, Request, RowResult, SamplingParams
from vocab.special import (
    ASSISTANT_END,
    BOS,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
)
from vocab.tokenizer import Tokenizer

Rows = dict[str, list[RowResult]]


class SmallTokenizer:
    """Special tokens are among the first ids, so random models end rows and call the tool."""

    _SPECIAL = (BOS, ASSISTANT_END, PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END)
    _TEXT = "0123456789+"

    def get_vocab_size(self) -> int:
        return 64

    def get_bos_token_id(self) -> int:
        return 0

    def encode_special(self, name: str) -> int:
        if name not in self._SPECIAL:
            raise KeyError(name)
        return self._SPECIAL.index(name)

    def encode(self, text: str) -> list[int]:
        return [6 + max(self._TEXT.find(letter), 0) for letter in text]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self._TEXT[token % 11] for token in tokens if token >= 6)


def request(name: str, prompt: Sequence[int], num_samples: int = 1, **params: Any) -> Request:
    return Request(
        id=name, prompt_tokens=prompt, num_samples=num_samples, params=SamplingParams(**params)
    )


def prompt_of(length: int, seed: int, vocab_size: int = 64) -> list[int]:
    return np.random.default_rng(seed).integers(0, vocab_size, length).tolist()


def new_engine(model: Any, tokenizer: Tokenizer | None = None, **config: Any) -> Engine:
    """An engine with a KV budget that doesn't depend on the machine."""
    return Engine(model, tokenizer, EngineConfig(**{"kv_budget_tokens": 200_000, **config}))


def drain(engine: Engine) -> Rows:
    """Step until nothing is left to do."""
    results: Rows = {}
    while engine.has_work:
        results.update((result.request_id, result.rows) for result in engine.step())
    return results


def run_all(
    model: Any, requests: Iterable[Request], tokenizer: Tokenizer | None = None, **config: Any
) -> Rows:
    """Submit all at once to a new engine, and run to the end."""
    engine = new_engine(model, tokenizer, **config)
    for each in requests:
        engine.submit(each)
    return drain(engine)
