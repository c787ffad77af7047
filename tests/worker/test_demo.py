"""The demo says what its workers found."""

from __future__ import annotations

from jobs import Provenance, SampledRows
from worker.demo import claim


def rows(policy: str, *, reproducible: bool = True) -> SampledRows:
    provenance = Provenance(
        reproducible=reproducible,
        model=None,
        dtype=None,
        device="a processor",
        kernels="native",
        policy=policy,
        sampler=1,
        versions={},
    )
    return SampledRows(rows=(), provenance=provenance)


def test_reproducible_is_what_all_workers_found_to_be_so() -> None:
    strict, tiled = rows("mkl-strict"), rows("tile-16")
    assert claim([strict, strict]) == "reproducible   yes (policy mkl-strict, kernels native)"
    assert claim([tiled, strict]) == (
        "reproducible   yes (policy mkl-strict, kernels native; policy tile-16, kernels native)"
    )
    failed = claim([strict, rows("tile-64", reproducible=False)])
    assert failed.startswith("NOT reproducible (policy mkl-strict, kernels native; policy tile-64")
    assert claim([SampledRows(rows=())]).startswith("NOT reproducible (policy unknown)")
