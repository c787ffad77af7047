"""failures.jsonl has a line for each input that failed, whenever its writer died."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.dataset.failure import Failure
from jobs.dataset.failures_file import FailuresFile


def failure(index: int) -> Failure:
    return Failure(index, None, f"prompts.jsonl line {index + 1}", "bad line", "is no good")


@pytest.mark.parametrize("cut", [0, 1, 2, 30])
def test_a_line_that_was_cut_short_harms_no_other(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "failures.jsonl"
    file = FailuresFile(path, tmp_path / "temporary")
    file.add([failure(0), failure(1)])
    path.write_text(path.read_text()[: len(path.read_text()) - cut])
    file.rewrite(lambda index: True, [failure(1), failure(2)])
    indices = [json.loads(line)["index"] for line in path.read_text().splitlines()]
    assert indices == [0, 1, 2]
    assert not (tmp_path / "temporary").exists()


def test_lines_of_inputs_that_no_longer_fail_go(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    file = FailuresFile(path, tmp_path / "temporary")
    file.rewrite(lambda index: True)
    assert not path.exists()
    file.add(map(failure, range(4)))
    file.rewrite(lambda index: index % 2 == 0, [failure(3)])
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 2, 3]
