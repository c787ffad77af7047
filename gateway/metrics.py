"""Metrics: what a gateway counts for Prometheus, under names of its own registry."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
)

from gateway.errors import ApiError

_PREFIX = "rowmill:gateway_"
_QUOTA_CODES = ("rows_quota_used_up", "tokens_quota_used_up")
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(120.0, 300.0, 900.0),
)


class Metrics:
    """Of one application; written from its event loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "http_requests", "Requests that were answered.", "method", "route", "status"
        )
        self.seconds = Histogram(
            f"{_PREFIX}http_request_duration_seconds",
            "From a request to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            f"{_PREFIX}time_to_first_token_seconds",
            "From a request that streams to its first event.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.open_streams = self._gauge("open_streams", "Answers that stream now.")
        self.open_requests = self._gauge("open_requests", "Requests without a whole answer yet.")
        self.jobs = self._counter("jobs", "Jobs pushed.")
        self.rows = self._counter("rows", "Rows of those.")
        self.tokens = self._counter("tokens", "Tokens of rows that were sent to callers.")
        self._quota_refusals = self._counter(
            "quota_refusals", "Requests refused as a quota was used up.", "code"
        )
        for code in _QUOTA_CODES:  # from 0 on, or Prometheus would not see the first
            self._quota_refusals.labels(code)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch_batches(self, num_active: Callable[[], float]) -> None:
        """Asked whenever somebody scrapes, on a thread of its own."""
        self._gauge("batches_active", "Batches that are not done.").set_function(num_active)

    def note_push(self, num_jobs: int, num_rows: int) -> None:
        self.jobs.inc(num_jobs)
        self.rows.inc(num_rows)

    def note_refusal(self, error: ApiError) -> None:
        if error.status == 429 and error.code in _QUOTA_CODES:
            self._quota_refusals.labels(error.code).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}{name}", text, registry=self.registry)
