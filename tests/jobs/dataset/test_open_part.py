"""A part has what the run has columns for, whether its rows came now or before."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet

from jobs import Row, SampledRows
from jobs.dataset.journal import InputRows, Journal
from jobs.dataset.open_part import OpenPart
from jobs.dataset.part import Columns
from tests.jobs.dataset.strategies import PROVENANCE

COLUMNS = Columns(top_logprobs=True, text=True, prompt_logprobs=True)


def row(number: int, text: str | None) -> Row:
    return Row(
        tokens=(number, 9),
        masks=(1, 1),
        finish_reason="stop",
        top_tokens=(number, 7, 9, 8),
        top_logprobs=(-0.25, -1.5, -0.125, -2.0),
        text=text,
    )


def rows_of(index: int, first_row: int, text: str | None) -> InputRows:
    rows = tuple(row(number, text) for number in (first_row, first_row + 1))
    its = SampledRows(rows=rows, provenance=PROVENANCE, prompt_logprobs=(-0.5, -3.0))
    return InputRows(index=index, id=None, seed=5, first_row=first_row, rows=its)


def written(folder: Path, added: list[InputRows], base: Path | None = None) -> Path:
    journal = Journal(folder / "journal")
    part = OpenPart(journal, base, retries=False)
    part.expect(0)
    for its in added:
        part.add_rows(its)
    path = folder / f"part-of-{len(added)}-{base is not None}"
    part.write(path, COLUMNS, 2, lambda tokens: f"said {list(tokens)}")
    part.remove_journal()
    return path


def test_top_tokens_and_prompt_logprobs_are_columns(tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(written(tmp_path, [rows_of(0, 0, None)])).to_pylist()
    assert [its["top_tokens"] for its in table] == [[0, 7, 9, 8], [1, 7, 9, 8]]
    assert [its["top_logprobs"] for its in table] == [[-0.25, -1.5, -0.125, -2.0]] * 2
    assert [its["prompt_logprobs"] for its in table] == [[-0.5, -3.0]] * 2


def test_the_text_of_a_row_that_has_one_is_its_own(tmp_path: Path) -> None:
    added = [rows_of(0, 0, "cut he"), rows_of(1, 0, None)]
    table = pyarrow.parquet.read_table(written(tmp_path, added)).to_pylist()
    assert [its["text"] for its in table] == ["cut he"] * 2 + ["said [0, 9]", "said [1, 9]"]


def test_a_part_that_is_extended_is_the_part_that_was_longer_at_once(tmp_path: Path) -> None:
    first, rest = rows_of(0, 0, "a"), rows_of(0, 2, "b")
    at_once = written(tmp_path, [first, rest])
    extended = written(tmp_path, [rest], base=written(tmp_path, [first]))
    assert extended.read_bytes() == at_once.read_bytes()
