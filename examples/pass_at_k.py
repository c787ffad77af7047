"""pass@k of a folder: the share of prompts of which one of k rows is right.

    rowmill sample examples/prompts.jsonl --model demo --chat --num-samples 8 --temperature 2 \
        --max-tokens 96 --out samples
    python examples/pass_at_k.py samples examples/prompts.jsonl

With n rows of a prompt, c of them right, 1 - C(n-c, k) / C(n, k) is the chance that k rows drawn
from the n hold a right one: an estimate without bias, from the same rows for every k up to n.
Source: Chen et al., Evaluating Large Language Models Trained on Code, 2021, equation 1.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from math import comb
from pathlib import Path

import pyarrow.parquet as pq

from vocab import load_tokenizer
from worker.arithmetic import stated_answer

TOKENIZER = load_tokenizer("demo")


def pass_at_k(num_rows: int, num_right: int, k: int) -> float:
    """The chance that k of the rows, drawn without putting back, hold a right one."""
    return 1 - comb(num_rows - num_right, k) / comb(num_rows, k)


def count(folder: Path, answers: dict[str, str]) -> tuple[Counter[str], Counter[str]]:
    """Rows, and right rows, by the ID of their prompt; some hundred rows are read at a time."""
    num_rows, num_right = Counter[str](), Counter[str]()
    for part in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(256, columns=["id", "tokens"]):
                for row in batch.to_pylist():
                    num_rows[row["id"]] += 1
                    its = stated_answer(row["tokens"], TOKENIZER)
                    num_right[row["id"]] += its == answers[row["id"]]
    return num_rows, num_right


def main() -> None:
    parser = argparse.ArgumentParser(description="Print pass@1, @2, @4 and @8.")
    parser.add_argument("folder", type=Path, help="what rowmill sample wrote")
    parser.add_argument("answers", type=Path, help="JSONL with id and answer")
    arguments = parser.parse_args()

    with arguments.answers.open() as file:
        answers = {line["id"]: line["answer"] for line in map(json.loads, file)}
    num_rows, num_right = count(arguments.folder, answers)
    if not num_rows:
        parser.error(f"{arguments.folder} holds no rows")
    for k in (1, 2, 4, 8):
        # Of fewer than k rows there is no estimate.
        chances = [pass_at_k(n, num_right[its], k) for its, n in num_rows.items() if n >= k]
        if chances:
            print(f"pass@{k}  {sum(chances) / len(chances):.4f}  of {len(chances)} prompts")


if __name__ == "__main__":
    main()
