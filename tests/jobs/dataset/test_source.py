"""Every kind of file gives the same lines, and one that breaks off says where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from jobs.dataset.errors import InputFileError, LineError
from jobs.dataset.source import Line, Source
from tests.jobs.dataset.files import SUFFIXES, write_lines, write_records

RECORDS = [{"id": f"q{i}", "prompt": "ä" * i} for i in range(700)]
COLUMNS = ("id", "prompt")


def lines_of(*paths: Path, max_line_bytes: int = 2**20) -> list[Line]:
    with Source(paths, COLUMNS, max_line_bytes=max_line_bytes).lines() as lines:
        return list(lines)


def reason_of(line: Line) -> str:
    with pytest.raises(LineError) as caught:
        line.record()
    return str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_gives_the_same_records(tmp_path: Path, suffix: str) -> None:
    path = write_records(tmp_path / f"a{suffix}", RECORDS, group_rows=300)
    lines = lines_of(path)
    assert [line.record() for line in lines] == RECORDS
    assert [line.index for line in lines] == list(range(len(RECORDS)))
    unit = "row" if suffix == ".parquet" else "line"
    assert lines[6].location == f"a{suffix} {unit} 7"


def test_of_parquet_only_the_wanted_columns_are_read(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.parquet", [{"id": "a", "prompt": "b", "answer": "c"}])
    assert [line.record() for line in lines_of(path)] == [{"id": "a", "prompt": "b"}]


def test_indices_run_over_all_files(tmp_path: Path) -> None:
    paths = [
        write_records(tmp_path / f"{i}{suffix}", RECORDS[:5]) for i, suffix in enumerate(SUFFIXES)
    ]
    lines = lines_of(*paths)
    assert [line.index for line in lines] == list(range(5 * len(paths)))
    assert [line.record() for line in lines] == RECORDS[:5] * len(paths)


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "a.jsonl", tmp_path / "y" / "a.jsonl"]
    for path in paths:
        path.parent.mkdir()
        write_records(path, RECORDS[:1])
    assert [line.location for line in lines_of(*paths)] == [f"{path} line 1" for path in paths]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=12))
def test_skipping_is_reading_without_looking(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("skipping")
    paths = [
        write_records(folder / "a.jsonl", RECORDS[:250]),
        write_records(folder / "b.parquet", RECORDS[250:600], group_rows=100),
        write_records(folder / "c.jsonl.gz", RECORDS[600:]),
    ]
    with Source(paths, COLUMNS).lines() as lines:
        position = 0
        for is_skip, count in moves:
            expected = RECORDS[position : position + count]
            if is_skip:
                assert lines.skip(count) == len(expected)
            else:
                read = [line for _, line in zip(range(count), lines, strict=False)]
                assert [line.record() for line in read] == expected
            position += len(expected)
            assert lines.index == position
        assert lines.share_read() <= 1


def test_blank_lines_are_no_inputs_and_count_as_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [b"", b'{"id": 1}', b" \t\r", b'{"id": 2}\r', b""])
    lines = lines_of(path)
    assert [(line.index, line.location) for line in lines] == [
        (0, "a.jsonl line 2"),
        (1, "a.jsonl line 4"),
    ]
    assert [line.record() for line in lines] == [{"id": 1}, {"id": 2}]
    with Source([path]).lines() as skipped:
        assert skipped.skip(9) == 2


def test_a_byte_order_mark_and_a_missing_last_newline_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\n{"id": 2}')
    assert [line.record() for line in lines_of(path)] == [{"id": 1}, {"id": 2}]
    path.write_bytes(b"\xef\xbb\xbf\n")
    assert lines_of(path) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize("size", [65, 128, 129, 1000])
def test_a_line_too_long_is_bad_and_its_neighbours_are_not(
    tmp_path: Path, suffix: str, size: int
) -> None:
    path = write_lines(tmp_path / f"a{suffix}", [b'{"id": 1}', b"x" * size, b'{"id": 3}'])
    first, long, last = lines_of(path, max_line_bytes=64)
    assert (first.record(), last.record()) == ({"id": 1}, {"id": 3})
    assert last.location == f"a{suffix} line 3"
    assert reason_of(long) == "is longer than 64 bytes"


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    text = b'{"id": "' + b"x" * 54 + b'"}'
    for end in (b"", b"\n", b"\n{}"):
        (tmp_path / "a.jsonl").write_bytes(text + end)
        assert lines_of(tmp_path / "a.jsonl", max_line_bytes=64)[0].record() == {"id": "x" * 54}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"id": "\xff"}', "is not UTF-8 at byte 8"),
        (b'{"id": 1', "is not JSON at character"),
        (b"[1]", "[1] is not a JSON object"),
        (b"null", "None is not a JSON object"),
        (b"\x00", "is not JSON at character 0"),
        (b'{"id": {"a": ["\\uD83d."]}}', "half of a surrogate pair"),
        (b'{"id": NaN}', "is not JSON: NaN"),
        (b'{"id": -Infinity}', "is not JSON: -Infinity"),
        (b"9" * 5000, "holds an integer of too many digits"),
        (b'{"a":' * 100_000, "is nested too deep"),
        (b"[" * 900 + b"]" * 900, "is not a JSON object"),
    ],
)
def test_what_is_no_json_object_is_a_bad_line(tmp_path: Path, text: bytes, reason: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", [text, b'{"id": 2}'])
    bad, good = lines_of(path)
    assert reason in reason_of(bad)
    assert good.record() == {"id": 2}


def test_an_escaped_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [b'{"id": "\\ud83d\\ude00 \\\\ud800"}'])
    assert lines_of(path)[0].record() == {"id": "\U0001f600 \\ud800"}


def test_text_of_parquet_that_is_not_utf8_is_a_bad_line(tmp_path: Path) -> None:
    values = pyarrow.array([b"\xff", b"a"], pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"prompt": values}), tmp_path / "a.parquet")
    bad, good = lines_of(tmp_path / "a.parquet")
    assert "can't be read" in reason_of(bad)
    assert good.record() == {"prompt": "a"}


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_a_compressed_file_that_is_cut_off_says_at_which_line(tmp_path: Path, suffix: str) -> None:
    path = write_records(tmp_path / f"a{suffix}", RECORDS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputFileError, match=rf"a{suffix} line \d+: can't be read: Truncated"):
        lines_of(path)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_damaged_file_is_an_error_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = write_records(tmp_path / f"a{suffix}", RECORDS)
    data = bytearray(path.read_bytes())
    for position in range(4 if suffix == ".parquet" else 0, len(data) - 300, 40):
        data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputFileError, match=f"a{suffix}"):
        lines_of(path)


def test_what_is_no_parquet_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.parquet", [b'{"id": 1}'])
    with pytest.raises(InputFileError, match=r"a\.parquet: is no Parquet file"):
        lines_of(path)


@pytest.mark.parametrize("name", ["a", "a.json", "a.jsonl.bz2", "a.csv", "a.gz", "a.parquet.gz"])
def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputFileError, match=r"\.jsonl or \.ndjson \(plain, \.gz or \.zst\)"):
        Source([write_lines(tmp_path / name, [b"{}"])])


def test_what_is_no_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    good = write_records(tmp_path / "a.jsonl", RECORDS[:1])
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, reason in [
        ("absent.jsonl", "no such file"),
        ("folder.jsonl", "is a folder"),
        ("folder", "is a folder"),
        ("pipe.jsonl", "is no regular file"),
        ("a.jsonl/b.jsonl", "no such file"),
        (f"{'x' * 300}.jsonl", "can't be read: File name too long"),
    ]:
        with pytest.raises(InputFileError, match=f"^{tmp_path / name}: {reason}"):
            Source([good, tmp_path / name])


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst", ".parquet"])
def test_memory_stays_flat_whatever_the_size_of_the_file(tmp_path: Path, suffix: str) -> None:
    """40 MB of lines, and for JSONL one line of the same size, read in a process of its own."""
    small = write_records(tmp_path / f"small{suffix}", [{"prompt": "a"}])
    big = tmp_path / f"big{suffix}"
    prompt = "0123456789" * 100
    if suffix == ".parquet":
        prompts = pyarrow.array([f"{i}{prompt}" for i in range(40_000)])
        table = pyarrow.table({"prompt": prompts})
        parquet.write_table(table, big, compression="none", use_dictionary=False)
    else:
        line = f'{{"prompt": "{prompt}"}}\n'.encode()
        lines = line * 40_000 + b"x" * (4 * 10**7) + b"\n"
        big.write_bytes(
            lines if suffix == ".jsonl" else pyarrow.compress(lines, "zstd", asbytes=True)
        )
    program = [sys.executable, "-m", "tests.jobs.dataset.growth", str(small), str(big)]
    result = subprocess.run(program, check=True, capture_output=True, text=True)
    num_lines, grown = map(int, result.stdout.split())
    assert num_lines == 40_000 + (suffix != ".parquet")
    assert grown < 24 * 2**20
