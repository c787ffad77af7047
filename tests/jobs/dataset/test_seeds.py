"""Seeds follow from the run's seed and the input, by a few lines that anyone can write."""

from __future__ import annotations

import hashlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from jobs.dataset.seeds import derive_seed

UINT64 = st.integers(0, 2**64 - 1)


def by_the_specification(run_seed: int, index: int, input_id: str | None) -> int:
    who = struct.pack("<cQ", b"n", index) if input_id is None else b"i" + input_id.encode()
    message = b"rowmill.seed.v1" + struct.pack("<Q", run_seed) + who
    (seed,) = struct.unpack_from("<Q", hashlib.sha256(message).digest())
    return int(seed)


@given(UINT64, UINT64, st.none() | st.text(st.characters(codec="utf-8")))
def test_seeds_are_what_the_specification_says(run: int, index: int, input_id: str | None) -> None:
    assert derive_seed(run, index, input_id) == by_the_specification(run, index, input_id)


def test_seeds_of_version_1_stay() -> None:
    assert derive_seed(0, 0, None) == 13715220707506226291
    assert derive_seed(42, 7, None) == 3603109984156642759
    assert derive_seed(42, 7, "question-7") == 8750264207902321158
    assert derive_seed(2**64 - 1, 2**64 - 1, "ä") == 803056114106729163


@given(UINT64, UINT64, UINT64)
def test_an_id_keeps_its_seed_wherever_it_stands(run: int, here: int, there: int) -> None:
    assert derive_seed(run, here, "a") == derive_seed(run, there, "a")
    assert (derive_seed(run, here, None) == derive_seed(run, there, None)) == (here == there)
