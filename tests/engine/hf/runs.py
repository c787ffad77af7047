"""Requests that are asked of an engine with a Hugging Face model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine import Engine, Request, RequestResult, SamplingParams
from tests.engine.hf.families import VOCAB_SIZE, reference

LENGTHS = (5, 17, 1, 9, 30)


def prompts(lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, VOCAB_SIZE, (n,), generator=generator).tolist() for n in lengths]


def request(number: int, prompt: list[int], num_samples: int = 1, **fields: Any) -> Request:
    params = SamplingParams(max_tokens=8 + number, **fields)
    return Request(id=str(number), prompt_tokens=prompt, num_samples=num_samples, params=params)


def run(engine: Engine, requests: list[Request]) -> dict[str, RequestResult]:
    """The results of requests that arrive one step after the other."""
    results = []
    for its in requests:
        engine.submit(its)
        results += engine.step()
    while engine.has_work:
        results += engine.step()
    return {result.request_id: result for result in results}


def generated(folder: Path, asked: list[Request]) -> list[list[int]]:
    """What transformers itself generates, greedily."""
    model = reference(folder)
    rows = []
    for its in asked:
        prompt = list(its.prompt_tokens)
        with torch.inference_mode():
            whole = model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=its.params.max_tokens,
                do_sample=False,
            )
        rows.append(whole[0, len(prompt) :].tolist())
    return rows
