"""Parts: what is written is read, and the same rows give the same bytes."""

from __future__ import annotations

import subprocess
import sys
from array import array
from pathlib import Path

import datasets
import pandas
import pyarrow.parquet
import pytest

from jobs.dataset import part as part_module
from jobs.dataset.part import Columns, PartRow, PartSummary, count_rows, read_part, write_part

ALL = Columns(logprobs=True, top_logprobs=True, text=True, prompts=True, prompt_logprobs=True)
PLAIN = "input_index id row_index tokens mask finish_reason num_tokens seed model"


def row(index: int, row_index: int, num_tokens: int) -> PartRow:
    return PartRow(
        input_index=index,
        id=None if index % 2 else f"id-{index}",
        row_index=row_index,
        tokens=array("i", range(num_tokens)).tobytes(),
        mask=bytes(number % 2 for number in range(num_tokens)),
        finish_reason="length" if num_tokens % 2 else "stop",
        seed=2**64 - 1 - index,
        model="f" * 64,
        logprobs=array("f", (-0.5 * number for number in range(num_tokens))).tobytes(),
        text=f"text of {num_tokens} tokens",
        prompt_tokens=array("i", [index, 1, 2]).tobytes(),
        top_tokens=array("i", range(2 * num_tokens)).tobytes(),
        top_logprobs=array("f", [-0.25] * 2 * num_tokens).tobytes(),
        prompt_logprobs=array("f", [-0.5, -index]).tobytes(),
    )


ROWS = [row(index, number, (7 * index + number) % 5) for index in range(40) for number in range(3)]


def write(path: Path, rows: list[PartRow] = ROWS, columns: Columns = ALL) -> PartSummary:
    return write_part(path, columns, rows, num_samples=3, num_inputs=41, failed={40})


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "part-000000.parquet"
    summary = write(path)
    assert list(read_part(path, ALL)) == ROWS
    assert PartSummary.of(path) == summary
    assert (summary.rows, summary.num_inputs, summary.failed) == (120, 41, (40,))
    assert summary.tokens == sum(its.num_tokens for its in ROWS)
    assert sum(summary.finish_reasons.values()) == 120
    assert count_rows(path) == {index: 3 for index in range(40)}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """Also when they come from a part, as when a dataset is extended."""
    write(tmp_path / "one")
    write(tmp_path / "two", list(read_part(tmp_path / "one", ALL)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("columns", "more"),
    [
        (Columns(), ""),
        (Columns(logprobs=True, text=True, prompts=True), " logprobs text prompt_tokens"),
        (
            ALL,
            " logprobs top_tokens top_logprobs text prompt_tokens prompt_logprobs",
        ),
    ],
)
def test_columns_are_those_asked_for_in_one_order(columns: Columns, more: str) -> None:
    assert columns.schema().names == (PLAIN + more).split()


def test_row_groups_are_bounded_by_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_module, "GROUP_TOKENS", 50)
    write(tmp_path / "part")
    file = pyarrow.parquet.ParquetFile(tmp_path / "part")
    assert file.metadata.num_row_groups > 5
    assert list(read_part(tmp_path / "part", ALL)) == ROWS


def test_a_part_without_rows_is_a_part(tmp_path: Path) -> None:
    write(tmp_path / "part", [])
    assert list(read_part(tmp_path / "part", ALL)) == []
    assert pandas.read_parquet(tmp_path / "part").empty


def test_another_parquet_file_is_no_part(tmp_path: Path) -> None:
    pandas.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="did not write"):
        PartSummary.of(tmp_path / "other.parquet")


@pytest.mark.parametrize("columns", [Columns(), ALL])
def test_pandas_pyarrow_and_datasets_open_a_part_as_it_is(tmp_path: Path, columns: Columns) -> None:
    path = tmp_path / "part-000000.parquet"
    write(path, columns=columns)
    its = ROWS[4]
    expected = list(array("i", its.tokens))

    frame = pandas.read_parquet(path)
    assert list(frame["tokens"][4]) == expected
    assert frame["seed"][4] == its.seed
    table = pyarrow.parquet.read_table(path)
    assert table["mask"][4].as_py() == list(its.mask)
    loaded = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert loaded[4]["tokens"] == expected
    assert loaded.num_rows == 120
    assert ("logprobs" in loaded.column_names) == columns.logprobs


def test_a_part_is_written_without_pandas(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from jobs.dataset.part import Columns, PartRow, write_part
row = PartRow(input_index=0, id=None, row_index=0, tokens=b"", mask=b"", finish_reason="stop",
              seed=1, model="m")
write_part(Path({str(tmp_path / "part.parquet")!r}), Columns(), [row],
           num_samples=1, num_inputs=1, failed=())
print("pandas" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


def test_columns_are_those_that_arrow_itself_would_make(tmp_path: Path) -> None:
    write(tmp_path / "part.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "part.parquet")
    for name in ("input_index", "id", "row_index", "finish_reason", "seed", "model", "text"):
        values = [getattr(its, name) for its in ROWS]
        assert table[name].combine_chunks() == pyarrow.array(values, table[name].type)
    table.validate(full=True)
