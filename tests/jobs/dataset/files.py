"""Writes records as every kind of input file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

Records = Sequence[dict[str, Any]]

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".parquet")


def write_records(path: Path, records: Records, *, group_rows: int | None = None) -> Path:
    """Writes a file of the kind that its name tells; a Parquet one in groups of `group_rows`."""
    if path.suffix == ".parquet":
        names = dict.fromkeys(name for record in records for name in record)
        columns = {name: [record.get(name) for record in records] for name in names}
        parquet.write_table(pyarrow.table(columns), path, row_group_size=group_rows)
    else:
        write_lines(path, [json.dumps(record).encode() for record in records])
    return path


def write_lines(path: Path, lines: Sequence[bytes]) -> Path:
    """Writes lines as they are; compressed files get two members or frames."""
    text = b"".join(line + b"\n" for line in lines)
    parts = (text[: len(text) // 2], text[len(text) // 2 :])
    if path.suffix == ".gz":
        text = b"".join(map(gzip.compress, parts))
    elif path.suffix == ".zst":
        text = b"".join(pyarrow.compress(part, "zstd", asbytes=True) for part in parts)
    path.write_bytes(text)
    return path
