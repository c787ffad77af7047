"""The five workloads, each the same in every run."""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.model import BenchModel
from bench.peers.rowmill import Rowmill
from bench.workload import BenchRequest, Workload
from engine.models import demo_prompt

_MIXED_SAMPLES = (1, 2, 4, 8, 16)
_MIXED_GAP = 150  # tokens from one arrival to the next, on average


def samples(model: BenchModel, num_requests: int = 16, num_samples: int = 8) -> Workload:
    """16 requests x 8 rows x 64 tokens, prompts of 64, or other numbers of requests and rows."""
    return _uniform("samples", model, num_requests, num_prompt_tokens=64, num_samples=num_samples)


def singles(model: BenchModel) -> Workload:
    """64 requests x 1 row x 64 tokens, prompts of 64."""
    return _uniform("singles", model, 64, num_prompt_tokens=64, num_samples=1)


def long_prompt(model: BenchModel) -> Workload:
    """16 requests x 16 rows x 64 tokens, prompts of 512."""
    return _uniform("long_prompt", model, 16, num_prompt_tokens=512, num_samples=16)


def mixed(model: BenchModel) -> Workload:
    """32 requests that come while others run.

    Prompts: log-normal, median 96, sigma 0.8, cut to 16 ... 512. Rows: 1, 2, 4, 8 or 16, equally
    likely. Tokens per row: log-normal, median 40, sigma 0.7, cut to 8 ... 128. Arrivals: a Poisson
    process, 150 generated tokens between two on average.
    """
    rng = np.random.default_rng(0)
    requests, arrival = [], 0.0
    for _ in range(32):
        prompt = _prompt(rng, model, _length(rng, 96, 0.8, 16, 512))
        num_samples = int(rng.choice(_MIXED_SAMPLES))
        request = _request(prompt, num_samples, _length(rng, 40, 0.7, 8, 128))
        requests.append(dataclasses.replace(request, arrival=int(arrival)))
        arrival += rng.exponential(_MIXED_GAP)
    return Workload(name="mixed", requests=tuple(requests))


def tiny(model: BenchModel) -> Workload:
    """64 questions x 4 rows for the shipped model; its rows end when they are done, or at 96."""
    assert model.tokenizer is not None, "the shipped model has a tokenizer"
    rng = np.random.default_rng(0)
    requests = []
    for _ in range(64):
        a, b = rng.integers(1, 1000, 2).tolist()
        question = f"What is {a} {rng.choice(('+', '-', '*'))} {b}?"
        prompt = tuple(demo_prompt(question, model.tokenizer))
        requests.append(_request(prompt, 4, 96))
    workload = Workload(name="tiny", requests=tuple(requests))
    rows = Rowmill(model).rows(workload)
    requests = [
        dataclasses.replace(request, row_lengths=tuple(len(row.tokens) for row in its))
        for request, its in zip(requests, rows, strict=True)
    ]
    return dataclasses.replace(workload, requests=tuple(requests))


def build(name: str, model: BenchModel, *, is_quick: bool = False) -> Workload:
    """The workload of that name, or a handful of tokens of it. Raises KeyError for another name."""
    by_name = {each.__name__: each for each in (samples, singles, long_prompt, mixed, tiny)}
    workload = by_name[name](model)
    return workload.quick() if is_quick else workload


def _uniform(
    name: str, model: BenchModel, num_requests: int, *, num_prompt_tokens: int, num_samples: int
) -> Workload:
    rng = np.random.default_rng(0)
    requests = tuple(
        _request(_prompt(rng, model, num_prompt_tokens), num_samples, 64)
        for _ in range(num_requests)
    )
    return Workload(name=name, requests=requests)


def _request(prompt: tuple[int, ...], num_samples: int, max_tokens: int) -> BenchRequest:
    return BenchRequest(
        prompt_tokens=prompt,
        num_samples=num_samples,
        max_tokens=max_tokens,
        row_lengths=(max_tokens,) * num_samples,
    )


def _prompt(rng: np.random.Generator, model: BenchModel, length: int) -> tuple[int, ...]:
    return tuple(rng.integers(0, model.config.vocab_size, length).tolist())


def _length(rng: np.random.Generator, median: int, sigma: float, least: int, most: int) -> int:
    return int(np.clip(rng.lognormal(np.log(median), sigma), least, most))
