"""What a reader makes of records, by way of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.dataset.inputs import BadLine, Input, InputReader
from jobs.dataset.source import Source
from tests.jobs.dataset.files import write_records
from vocab import ByteTokenizer

TOKENIZER = ByteTokenizer()


def reader(**options: Any) -> InputReader:
    return InputReader(**{"seed": 0, "tokenizer": TOKENIZER, **options})


def outcomes(paths: Sequence[Path], its_reader: InputReader) -> list[Input | BadLine]:
    with Source(paths, its_reader.columns).lines() as lines:
        return [its_reader.read(line) for line in lines]


def outcome_of(folder: Path, record: dict[str, Any], **options: Any) -> Input | BadLine:
    """Of a record in a JSONL file."""
    path = write_records(folder / "one.jsonl", [record])
    (outcome,) = outcomes([path], reader(**options))
    return outcome


def input_of(folder: Path, record: dict[str, Any], **options: Any) -> Input:
    outcome = outcome_of(folder, record, **options)
    assert isinstance(outcome, Input), outcome
    return outcome


def reason_of(folder: Path, record: dict[str, Any], **options: Any) -> str:
    outcome = outcome_of(folder, record, **options)
    assert isinstance(outcome, BadLine), outcome
    return outcome.reason
