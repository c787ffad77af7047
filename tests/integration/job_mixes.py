"""Jobs for the tests: short ones, and ones that keep a worker busy for a while."""

from __future__ import annotations

from engine.models import demo_prompt
from jobs import GenerateJob
from vocab import ByteTokenizer

TOKENIZER = ByteTokenizer()


def question(text: str = "What is 37 * 48?", **fields: object) -> GenerateJob:
    return GenerateJob.parse({"prompt_tokens": demo_prompt(text, TOKENIZER), **fields})


def mixed_jobs(number: int) -> list[GenerateJob]:
    """Of different prompts, rows, temperatures and filters."""
    return [
        question(
            f"What is {7 * index} + {index * index}?",
            num_samples=1 + index % 5,
            max_tokens=8 + 9 * (index % 6),
            temperature=(0.0, 1.0, 2.5)[index % 3],
            top_k=(None, 5)[index % 2],
            seed=index,
        )
        for index in range(number)
    ]


def long_jobs(number: int, **fields: object) -> list[GenerateJob]:
    """So hot that hardly a row ends before the context is full."""
    return [
        question(num_samples=16, temperature=8.0, seed=index, **fields) for index in range(number)
    ]
