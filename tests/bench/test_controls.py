"""The kinds of rows whose steps are measured."""

from __future__ import annotations

import sys

import pytest

from bench.config import BenchConfig
from bench.controls import measure_controls
from bench.model import bench_model


def test_every_kind_of_rows_has_its_turns() -> None:
    pytest.importorskip("llguidance")
    progress: list[str] = []
    config = BenchConfig(repeats=2, is_quick=True)
    figures = measure_controls(bench_model(config), config, progress.append)
    kinds = ["plain", "equal", "different", "logprobs", "top_logprobs", "structured"]
    assert list(figures.turns) == kinds
    for turns in figures.turns.values():
        assert len(turns) == 2 and min(turns) > 0
    assert len(progress) == len(set(progress)) == 3 * len(kinds)


def test_no_schemas_are_measured_where_llguidance_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    config = BenchConfig(repeats=1, is_quick=True)
    figures = measure_controls(bench_model(config), config, lambda _: None)
    assert "structured" not in figures.turns
    assert "different / equal" in figures.ratios()
    assert "structured / plain" not in figures.ratios()
