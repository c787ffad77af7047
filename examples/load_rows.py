"""Load a folder of rows: as tables, and as the records that trainers take.

    rowmill sample examples/prompts.jsonl --model demo --chat --num-samples 8 --temperature 2 \
        --max-tokens 96 --prompts --out samples
    python examples/load_rows.py samples
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import datasets
import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

Record = dict[str, Any]


def files(folder: Path) -> list[str]:
    """The parts, in the order of their inputs (of shards in one folder: shard by shard in each)."""
    return [str(part) for part in sorted(folder.glob("part-*.parquet"))]


def with_pyarrow(folder: Path) -> pyarrow.Table:
    return pyarrow.dataset.dataset(files(folder)).to_table()


def with_pandas(folder: Path) -> pandas.DataFrame:
    return pandas.concat(map(pandas.read_parquet, files(folder)), ignore_index=True)


def with_datasets(folder: Path) -> datasets.Dataset:
    return datasets.Dataset.from_parquet(files(folder))


def records(folder: Path) -> Iterator[Record]:
    """A record per row, as a stream: a few hundred are in memory at a time.

    `completion_mask` is 0 where the token was forced, as a tool's output is. `prompt_ids` are there
    if the folder was sampled with --prompts, and `logprobs` with --logprobs.
    """
    names = {"input_index": "input_index", "id": "id", "prompt_tokens": "prompt_ids"}
    names |= {"tokens": "completion_ids", "mask": "completion_mask", "logprobs": "logprobs"}
    for part in files(folder):
        with pyarrow.parquet.ParquetFile(part) as file:
            columns = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(256, columns=columns):
                for row in batch.to_pylist():
                    yield {names[column]: row[column] for column in columns}


def groups(folder: Path) -> Iterator[list[Record]]:
    """The records of one prompt at a time, as GRPO compares them: a part has them side by side."""
    for _, group in groupby(records(folder), itemgetter("input_index")):
        yield list(group)


def for_trl(rows: Iterable[Record]) -> dict[str, list[Any]]:
    """What a `rollout_func` of TRL's GRPOTrainer returns, which is a list of each by name.

    Source: trl/trainer/grpo_trainer.py of TRL 1.10, where `prompt_ids`, `completion_ids` and
    `logprobs` are required, and `env_mask` tells the model's own tokens from those of tools.
    """
    names = {name: name for name in ("prompt_ids", "completion_ids", "logprobs")}
    names["env_mask"] = "completion_mask"
    table = list(rows)
    return {name: [row[own] for row in table] for name, own in names.items() if own in table[0]}


def for_verl(row: Record) -> Record:
    """The fields of verl's `AgentLoopOutput` that come from sampling.

    Source: verl/experimental/agent_loop/agent_loop.py; `metrics` and `num_turns` are the loop's.
    """
    names = {"prompt_ids": "prompt_ids", "response_ids": "completion_ids"}
    names |= {"response_mask": "completion_mask", "response_logprobs": "logprobs"}
    return {name: row[own] for name, own in names.items() if own in row}


def main() -> None:
    folder = Path(sys.argv[1])
    if not files(folder):
        sys.exit(f"{folder} holds no rows")
    print(with_pyarrow(folder).schema.to_string(show_schema_metadata=False))
    print(with_pandas(folder)[["id", "row_index", "num_tokens", "finish_reason"]].head())
    print(with_datasets(folder))
    group = next(groups(folder))
    print(f"TRL: {len(group)} rows with {', '.join(for_trl(group))}")
    print(f"verl: {', '.join(for_verl(group[0]))}")


if __name__ == "__main__":
    main()
