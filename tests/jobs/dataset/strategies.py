"""Rows and what goes with them, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from jobs import Provenance, Row, SampledRows
from jobs.dataset.journal import InputRows

PROVENANCE = Provenance(
    reproducible=True,
    model="0" * 64,
    dtype="float32",
    device="a processor",
    kernels="torch",
    policy="none",
    sampler=1,
    versions={},
)

tokens = st.lists(st.integers(0, 2**31 - 1), max_size=6)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    its = draw(tokens)
    masks = draw(st.lists(st.integers(0, 1), min_size=len(its), max_size=len(its)))
    return Row(
        tokens=tuple(its),
        masks=tuple(masks),
        finish_reason=draw(st.sampled_from(("stop", "length"))),
    )


@st.composite
def input_rows(draw: st.DrawFn, index: int, num_rows: int) -> InputRows:
    """Rows 0 to `num_rows` - 1 of an input."""
    its = draw(st.lists(rows(), min_size=num_rows, max_size=num_rows))
    return InputRows(
        index=index,
        id=draw(st.none() | st.text(max_size=3)),
        seed=draw(st.integers(0, 2**64 - 1)),
        first_row=0,
        rows=SampledRows(rows=tuple(its), provenance=PROVENANCE),
    )
