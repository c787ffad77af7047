"""Rejection sampling: sample every prompt several times, keep what is right, to fine-tune on it.

    python examples/rejection_sampling.py --out rejection

Stopped at any moment, the same command goes on. A model and a score of your own go in at MODEL and
`is_right`; workers elsewhere serve as well: pass their server's URL to `run.sample`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.dataset import SamplingRun
from vocab import load_tokenizer
from worker.arithmetic import stated_answer
from worker.local_fleet import local_fleet

MODEL = "demo"
TOKENIZER = load_tokenizer(MODEL)


def is_right(tokens: list[int], answer: str) -> bool:
    """Whether a row states the answer."""
    return stated_answer(tokens, TOKENIZER) == answer


def sample(prompts: Path, folder: Path, num_samples: int, limit: int | None) -> None:
    """Fills the folder with parts; does nothing where it is full."""
    with SamplingRun(
        prompts,
        folder,
        model=MODEL,
        chat=True,
        num_samples=num_samples,
        temperature=2.0,  # the shipped model is right nearly always at 1
        max_tokens=96,
        limit=limit,
        text=True,
        prompts=True,
    ) as run:
        if run.is_complete:
            return
        with local_fleet(MODEL) as fleet:
            for result in run.sample(fleet.url, while_waiting=fleet.check):
                print(f"{run.progress.num_done}/{run.progress.num_inputs}  {result.id}", end="\r")
        print()


def kept(folder: Path, lines: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is right, once per prompt and text, in the order of the prompts.

    `input_ids` and `completion_mask` are what TRL's SFTTrainer takes instead of text: what the mask
    has as 0, the prompt and the calculator's output, is not learned.
    """
    seen: set[tuple[str, str]] = set()
    for part in sorted(folder.glob("part-*.parquet")):
        for row in pq.read_table(part).to_pylist():
            line, pair = lines[row["id"]], (row["id"], row["text"])
            if pair not in seen and is_right(row["tokens"], line["answer"]):
                seen.add(pair)
                yield {
                    "id": row["id"],
                    "prompt": line["prompt"],
                    "completion": row["text"],
                    "input_ids": row["prompt_tokens"] + row["tokens"],
                    "completion_mask": [0] * len(row["prompt_tokens"]) + row["mask"],
                }


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep the rows whose answer is right.")
    parser.add_argument("--prompts", type=Path, default=Path(__file__).with_name("prompts.jsonl"))
    parser.add_argument("--out", type=Path, required=True, help="folder for samples and kept.jsonl")
    parser.add_argument("--num-samples", type=int, default=8)
    parser.add_argument("--limit", type=int, help="only the first prompts")
    arguments = parser.parse_args()

    sample(arguments.prompts, arguments.out / "samples", arguments.num_samples, arguments.limit)
    with arguments.prompts.open() as file:
        lines = {line["id"]: line for line in map(json.loads, file)}
    pairs = list(kept(arguments.out / "samples", lines))
    with (arguments.out / "kept.jsonl").open("w") as file:
        file.writelines(json.dumps(pair) + "\n" for pair in pairs)
    num_prompts = len({pair["id"] for pair in pairs})
    print(f"{len(pairs)} different right rows of {num_prompts} prompts: {file.name}")


if __name__ == "__main__":
    main()
