"""A journal keeps what was added, whenever its writer dies."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.dataset.failure import Failure
from jobs.dataset.journal import InputRows, Journal
from tests.jobs.dataset.strategies import input_rows


def failure(index: int) -> Failure:
    return Failure(index, None, f"prompts.jsonl line {index + 1}", "bad line", "is no good")


@given(st.data(), st.integers(0, 400))
def test_what_is_whole_is_read_again_whatever_was_cut_off(data: st.DataObject, cut: int) -> None:
    added = [data.draw(input_rows(index, 2)) for index in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        sizes = [0]
        with closing(Journal(path)) as journal:
            for its in added:
                journal.add_rows(its)
                sizes.append(path.stat().st_size)
        left = max(sizes[-1] - cut, 0)
        with path.open("r+b") as file:
            file.truncate(left)

        with closing(Journal(path)) as again:
            num_whole = sum(size <= left for size in sizes[1:])
            assert rows_in(again) == added[:num_whole]
            assert again.row_ends == {index: 2 for index in range(num_whole)}
            for its in added[num_whole:]:
                again.add_rows(its)
        with closing(Journal(path)) as again:
            assert rows_in(again) == added


@given(st.binary(min_size=1, max_size=60), st.data())
def test_rubbish_at_the_end_is_passed_over(rubbish: bytes, data: st.DataObject) -> None:
    its = data.draw(input_rows(7, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        with closing(Journal(path)) as journal:
            journal.add_rows(its)
        with path.open("ab") as file:
            file.write(rubbish)
        with closing(Journal(path)) as journal:
            assert list(journal.rows_of(7)) == [its]


def test_failures_are_kept_until_they_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with closing(Journal(path)) as journal:
        journal.add_failure(failure(4))
        journal.add_failure(failure(2))
    with closing(Journal(path)) as journal:
        assert list(journal.failures()) == [failure(2), failure(4)]
        journal.forget_failures()
        journal.add_failure(failure(9))
    with closing(Journal(path)) as journal:
        assert journal.failed == {9}
        assert list(journal.failures()) == [failure(9)]


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with closing(Journal(path)) as journal:
        journal.add_failure(failure(1))
        with files_of_at_most(path.stat().st_size + 10), pytest.raises(OSError, match="too large"):
            journal.add_failure(failure(2))
        journal.add_failure(failure(3))
    with closing(Journal(path)) as journal:
        assert list(journal.failures()) == [failure(1), failure(3)]


def rows_in(journal: Journal) -> list[InputRows]:
    return [its for index in sorted(journal.row_ends) for its in journal.rows_of(index)]


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """A limit of the system that acts as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
