"""Workload: the requests that the command and the bare engine are given alike."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import torch

import engine  # noqa: F401  (before torch, whose environment it prepares)
from bench.config import BenchConfig
from bench.model import bench_model
from vocab import ByteTokenizer
from vocab.conversation import render_question
from worker.arithmetic import arithmetic_question
from worker.sample_bench.config import QUESTIONS, RANDOM, SampleBenchConfig

QUESTION_TOKENS = 96
_RANDOM_TOKENS = 64
_RANDOM_PROMPT = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    name: str
    model: str
    """A checkpoint's folder, or demo."""
    inputs: Path
    """A line for each request, with `prompt_tokens` and `seed`."""
    num_inputs: int
    num_samples: int
    max_tokens: int


def build(name: str, folder: Path, config: SampleBenchConfig) -> Workload:
    """The workload of that name, with its files in `folder`."""
    if name == QUESTIONS:
        return questions(folder, config.questions, config.num_samples)
    return randoms(folder, config.randoms, config.num_samples, is_quick=config.is_quick)


def questions(folder: Path, num_inputs: int, num_samples: int) -> Workload:
    """Arithmetic for the shipped model; its rows end when they are done."""
    rng, tokenizer = random.Random(0), ByteTokenizer()
    prompts = (render_question(arithmetic_question(rng).text, tokenizer) for _ in range(num_inputs))
    return Workload(
        name=QUESTIONS,
        model="demo",
        inputs=_written(folder / "questions.jsonl", prompts),
        num_inputs=num_inputs,
        num_samples=num_samples,
        max_tokens=QUESTION_TOKENS,
    )


def randoms(folder: Path, num_inputs: int, num_samples: int, *, is_quick: bool) -> Workload:
    """Prompts of 64 for the random model of `rowmill bench`; its rows end by their length."""
    model = bench_model(BenchConfig(is_quick=is_quick))
    checkpoint = folder / "random"
    checkpoint.mkdir()
    torch.save(model.weights, checkpoint / "model_000000.pt")
    meta = {"model_config": dataclasses.asdict(model.config)}
    (checkpoint / "meta_000000.json").write_text(json.dumps(meta))
    rng = random.Random(0)
    tokens = range(model.config.vocab_size)
    prompts = (rng.choices(tokens, k=_RANDOM_PROMPT) for _ in range(num_inputs))
    return Workload(
        name=RANDOM,
        model=str(checkpoint),
        inputs=_written(folder / "random.jsonl", prompts),
        num_inputs=num_inputs,
        num_samples=num_samples,
        max_tokens=_RANDOM_TOKENS,
    )


def _written(path: Path, prompts: Iterator[list[int]]) -> Path:
    with path.open("w") as file:
        for seed, prompt in enumerate(prompts):
            file.write(json.dumps({"prompt_tokens": prompt, "seed": seed}) + "\n")
    return path
