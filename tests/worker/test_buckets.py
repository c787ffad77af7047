"""Buckets count what a histogram of Prometheus' own counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from worker.metrics.buckets import Buckets

BOUNDS = (0.1, 1.0, 2.5)


@given(
    st.lists(st.tuples(st.floats(0, 5) | st.sampled_from(BOUNDS), st.integers(1, 9)), max_size=20)
)
def test_values_are_counted_as_prometheus_counts_them(values: list[tuple[float, int]]) -> None:
    buckets = Buckets(BOUNDS)
    registry = CollectorRegistry()
    histogram = Histogram("h", "Theirs.", buckets=BOUNDS, registry=registry)
    for value, times in values:
        buckets.add(value, times)
        for _ in range(times):
            histogram.observe(value)
    counted = buckets.counted()
    bounds = [*map(str, BOUNDS), "+Inf"]
    theirs = [registry.get_sample_value("h_bucket", {"le": bound}) for bound in bounds]
    assert list(counted.counts) == theirs
    assert counted.total == pytest.approx(registry.get_sample_value("h_sum"))
