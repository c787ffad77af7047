"""Exactly the IDs that come twice are found, in memory or out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.dataset.seen_ids import SeenIds


def expected(ids: list[str]) -> tuple[int, int] | None:
    """The same by a dict that holds them all."""
    seen: dict[str, int] = {}
    for index, input_id in enumerate(ids):
        if input_id in seen:
            return seen[input_id], index
        seen[input_id] = index
    return None


@given(
    st.lists(st.integers(0, 60).map(str) | st.text(st.characters(codec="utf-8")), max_size=40),
    st.integers(1, 50),
)
def test_the_first_duplicate_is_found(ids: list[str], entries_in_memory: int) -> None:
    with SeenIds(entries_in_memory=entries_in_memory) as seen:
        for index, input_id in enumerate(ids):
            seen.add(input_id, index)
        assert seen.first_duplicate() == expected(ids)


@pytest.mark.parametrize("again", [None, 0, 12_345, 49_999])
def test_among_many_the_one_is_found_and_no_file_stays(tmp_path: Path, again: int | None) -> None:
    with SeenIds(tmp_path, entries_in_memory=20_000) as seen:
        for index in range(50_000):
            seen.add(f"question-{index}", index)
        if again is not None:
            seen.add(f"question-{again}", 50_000)
        assert seen.first_duplicate() == (None if again is None else (again, 50_000))
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
