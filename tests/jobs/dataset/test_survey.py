"""A survey says what the files hold, and stops the run where one is not what was meant."""

from __future__ import annotations

import hashlib
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from jobs.dataset.errors import InputFileError
from jobs.dataset.probe import NUM_PROBED
from jobs.dataset.source import Source
from jobs.dataset.survey import Survey, survey
from tests.jobs.dataset.files import SUFFIXES, write_lines, write_records
from tests.jobs.dataset.readers import TOKENIZER, reader

GOOD = {"prompt": "ab"}


def survey_of(*paths: Path, limit: int | None = None, **options: Any) -> Survey:
    its_reader = reader(**options)
    return survey(Source(paths, its_reader.columns), its_reader, limit=limit)


def refusal(*paths: Path, **options: Any) -> str:
    with pytest.raises(InputFileError) as caught:
        survey_of(*paths, **options)
    return str(caught.value)


def test_it_counts_inputs_rows_bad_lines_and_ids(tmp_path: Path) -> None:
    records = [{"prompt": 5}, {**GOOD, "id": 1}, {**GOOD, "num_samples": 3}, {"id": 2}]
    first = write_records(tmp_path / "a.jsonl", records)
    second = write_records(tmp_path / "b.parquet", [GOOD] * 1500)
    found = survey_of(first, second, defaults={"num_samples": 2})
    assert (found.num_inputs, found.num_bad, found.num_ids) == (1504, 2, 2)
    assert found.num_rows == 2 + 3 + 1500 * 2


def test_the_first_input_has_its_prompt(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [{"prompt": 5}, GOOD])
    first = survey_of(path).first
    assert first.location == "a.jsonl line 2"
    assert list(first.job.prompt_tokens) == [TOKENIZER.get_bos_token_id(), 97, 98]


def test_files_are_known_by_the_sha256_of_their_bytes(tmp_path: Path) -> None:
    paths = [write_records(tmp_path / f"a{suffix}", [GOOD] * 9) for suffix in SUFFIXES]
    for path, facts in zip(paths, survey_of(*paths).files, strict=True):
        data = path.read_bytes()
        assert (facts.name, facts.num_bytes) == (path.name, len(data))
        assert facts.sha256 == hashlib.sha256(data).hexdigest()


def test_a_limit_ends_the_reading_and_not_the_hashing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [b'{"prompt": "a"}'] * 3 + [b"{"])
    empty = write_lines(tmp_path / "b.jsonl", [])
    assert survey_of(path, empty, limit=3).num_bad == 0
    assert survey_of(path, empty, limit=3).files[0] == survey_of(path).files[0]
    assert survey_of(path, limit=9).num_inputs == 4


@given(st.lists(st.none() | st.integers(1, 30), min_size=1, max_size=12), st.data())
def test_exactly_the_ids_that_come_twice_are_found(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int | None], data: st.DataObject
) -> None:
    """Across files, where integers and strings meet."""
    folder = tmp_path_factory.mktemp("ids")
    split = data.draw(st.integers(1, len(ids)))
    records = [GOOD if value is None else {**GOOD, "id": value} for value in ids]
    strings = [
        record | {"id": str(record["id"])} if "id" in record else record for record in records
    ]
    paths = [write_records(folder / "a.jsonl", records[:split])]
    if split < len(ids):
        paths.append(write_records(folder / "b.parquet", strings[split:]))
    given_ids = [value for value in ids if value is not None]
    if len(set(given_ids)) == len(given_ids):
        assert survey_of(*paths).num_ids == len(given_ids)
    else:
        assert "its ID, '" in refusal(*paths)


def test_a_duplicate_names_the_id_and_both_places(tmp_path: Path) -> None:
    first = write_records(tmp_path / "a.jsonl", [GOOD, {**GOOD, "id": "x"}, {**GOOD, "id": "y"}])
    second = write_records(tmp_path / "b.parquet", [{**GOOD, "id": "z"}, {"prompt": "", "id": "x"}])
    assert refusal(first, second) == "b.parquet row 2: its ID, 'x', is that of a.jsonl line 2 too"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_inputs_stops_the_run(tmp_path: Path, suffix: str) -> None:
    empty = write_records(tmp_path / f"empty{suffix}", [])
    if suffix == ".parquet":
        assert refusal(empty).startswith("empty.parquet: has no prompt")
        parquet.write_table(pyarrow.table({"prompt": pyarrow.array([], "string")}), empty)
    good = write_records(tmp_path / "good.jsonl", [GOOD])
    for paths in ([empty], [empty, good], [good, empty]):
        assert refusal(*paths) == f"empty{suffix}: holds no input"


def test_where_no_line_is_an_input_the_file_is_bad(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [{"question": "a", "answer": 1}] * 3)
    assert refusal(path) == (
        "a.jsonl line 1: has no prompt: none of prompt_tokens, prompt, messages, and no batch "
        "request; it has the columns question, answer "
        "(none of the first 3 lines of the file is an input)"
    )
    assert "nothing in 'text'; it has the columns" in refusal(path, prompt_column="text")
    assert survey_of(path, prompt_column="question").num_bad == 0


def test_one_input_among_the_first_is_enough(tmp_path: Path) -> None:
    bad = [{"prompt": 5}] * (NUM_PROBED - 1)
    path = write_records(tmp_path / "a.jsonl", [*bad, GOOD, {"prompt": 6}])
    assert survey_of(path).num_bad == NUM_PROBED
    path = write_records(tmp_path / "a.jsonl", [*bad, {"prompt": 5}, GOOD])
    assert "none of the first 1000 lines" in refusal(path)


def test_every_file_is_held_to_its_own_first_lines(tmp_path: Path) -> None:
    good = write_records(tmp_path / "a.jsonl", [GOOD] * (NUM_PROBED + 1))
    noise = write_lines(tmp_path / "b.jsonl", [b"\x93\xff noise"] * 2)
    assert refusal(good, noise).startswith("b.jsonl line 1: is not UTF-8 at byte 0; it has no col")


def test_parquet_without_the_columns_is_refused_by_its_schema(tmp_path: Path) -> None:
    records = [{"question": "a", "key": "b"}]
    path = write_records(tmp_path / "a.parquet", records)
    good = write_records(tmp_path / "good.jsonl", [GOOD])
    assert refusal(good, path).startswith("a.parquet: has no prompt: none of prompt_tokens")
    assert refusal(path, prompt_column="text") == (
        "a.parquet: has no prompt: nothing in 'text'; it has the columns question, key"
    )
    options = {"prompt_column": "question", "id_column": "uid"}
    assert refusal(path, **options).startswith("a.parquet: has no column 'uid' for IDs")
    assert survey_of(path, prompt_column="question", id_column="key").num_ids == 1


def test_an_id_column_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [{**GOOD, "key": "b"}] * 2)
    assert re.match(
        r"a\.jsonl: none of the first 2 lines has an ID in 'uid'; it has the columns prompt, key",
        refusal(path, id_column="uid"),
    )


def test_a_file_that_breaks_off_stops_the_run(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl.gz", [{"prompt": str(i)} for i in range(3000)])
    path.write_bytes(path.read_bytes()[:-20])
    assert re.match(r"a\.jsonl\.gz line \d+: can't be read", refusal(path))


def test_text_without_a_tokenizer_is_found_before_any_job(tmp_path: Path) -> None:
    lines = [{"prompt_tokens": [1]}] * (NUM_PROBED + 5)
    path = write_records(tmp_path / "a.jsonl", [*lines, GOOD])
    assert refusal(path, tokenizer=None).endswith("give --model")


def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    paths = [write_records(tmp_path / f"{i}.jsonl", [GOOD] * 11_000) for i in range(2)]
    reports: list[tuple[str, float]] = []
    its_reader = reader()
    survey(Source(paths), its_reader, progress=lambda stage, share: reports.append((stage, share)))
    assert [stage for stage, _ in reports] == sorted(stage for stage, _ in reports)
    for stage in ("hashing", "reading"):
        shares = [share for its_stage, share in reports if its_stage == stage]
        assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 1


def test_memory_stays_flat_whatever_the_number_of_lines(tmp_path: Path) -> None:
    def peak(num_lines: int) -> int:
        path = tmp_path / "a.jsonl"
        with path.open("w") as file:
            file.writelines(f'{{"prompt": "a", "id": "question-{i}"}}\n' for i in range(num_lines))
        its_reader = reader()
        tracemalloc.start()
        survey(Source([path]), its_reader, scratch=tmp_path)
        _, size = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    # 24 bytes of each ID stay in memory until they are 6 MiB.
    assert peak(12_000) < peak(2000) + 12_000 * 40
