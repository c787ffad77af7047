"""The sizes at which the time per row is measured."""

from __future__ import annotations

from bench.config import BenchConfig
from bench.growth import measure_growth
from tests.bench.models import small_model


def test_rows_and_requests_double_twice_from_the_same_workload() -> None:
    progress: list[str] = []
    config = BenchConfig(repeats=2, is_quick=True)
    growth = measure_growth(small_model(), config, progress.append)
    assert growth.rows[0] == growth.requests[0]
    assert [(its.requests, its.rows_per_request) for its in growth.rows] == [(2, 2), (2, 4), (2, 8)]
    assert [(its.requests, its.rows_per_request) for its in growth.requests] == [
        (2, 2),
        (4, 2),
        (8, 2),
    ]
    for figure in growth.rows + growth.requests:
        assert len(figure.repeats) == 2
        assert figure.speed > 0
    assert len(progress) == len(set(progress)) == 5 * config.repeats
