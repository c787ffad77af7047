"""What has to be true of a run's folder, whatever was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.dataset.part import PartSummary, count_rows


def parts(folder: Path) -> dict[str, bytes]:
    """Contents by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.parquet"))}


def failures(folder: Path) -> dict[int, dict[str, Any]]:
    """The lines of failures.jsonl by input index; no input has two."""
    file = folder / "failures.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    found = {line["index"]: line for line in map(json.loads, lines)}
    assert len(found) == len(lines), "an input failed twice"
    return found


def check_finished(folder: Path, num_samples: int) -> None:
    """Of a run that has come to its end: what it says of itself agrees, and nothing is left over.

    `num_samples`: of every input.
    """
    failed: set[int] = set()
    num_inputs = num_rows = 0
    for path in sorted(folder.glob("*.parquet")):
        summary, rows = PartSummary.of(path), count_rows(path)
        its = range(num_inputs, num_inputs + summary.num_inputs)
        assert {index for index in its if rows[index] < num_samples} == set(summary.failed)
        failed |= set(summary.failed)
        num_inputs += summary.num_inputs
        num_rows += summary.rows
    assert failures(folder).keys() == failed
    stats = json.loads((folder / "stats.json").read_text())
    assert stats["is_complete"]
    assert (stats["inputs"], stats["rows"], stats["failed"]) == (num_inputs, num_rows, len(failed))
    assert [file.name for file in (folder / ".rowmill").iterdir()] == ["lock"]
