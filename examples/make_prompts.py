"""Write prompts.jsonl, the questions that the other examples sample: the same ones every time.

python examples/make_prompts.py
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from worker.arithmetic import Question, arithmetic_question


def questions(count: int, seed: int) -> Iterator[Question]:
    """So many questions, each with another text."""
    rng, seen = random.Random(seed), set[str]()
    while len(seen) < count:
        question = arithmetic_question(rng)
        if question.text not in seen:
            seen.add(question.text)
            yield question


def lines(count: int = 200, seed: int = 0) -> Iterator[str]:
    """`id` and `prompt` are what `rowmill sample` reads; it passes over `answer`."""
    for number, question in enumerate(questions(count, seed)):
        line = {"id": f"q{number:03d}", "prompt": question.text, "answer": question.answer}
        yield json.dumps(line) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write questions with their answers.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("prompts.jsonl"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.write_text("".join(lines(arguments.count, arguments.seed)))


if __name__ == "__main__":
    main()
