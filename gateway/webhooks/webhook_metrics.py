"""What a sender of webhooks has done, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.webhooks.counters import WebhookCounters

_PREFIX = "rowmill:webhooks_"


class WebhookMetrics(Collector):
    """Reads the counters when it is asked."""

    def __init__(self, counters: WebhookCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        its = self._counters
        for name, text, number in (
            ("sent", "Webhooks that were taken.", its.num_sent),
            ("failed_attempts", "Attempts that were not.", its.num_failed_attempts),
            ("given_up", "Webhooks that were given up.", its.num_given_up),
        ):
            yield CounterMetricFamily(_PREFIX + name, text, number)
        yield GaugeMetricFamily(f"{_PREFIX}due", "Due and not claimed yet.", its.num_due)
        yield GaugeMetricFamily(f"{_PREFIX}under_way", "Being sent.", its.num_in_hands)


def webhook_registry(counters: WebhookCounters) -> CollectorRegistry:
    """The metrics of a sender's process."""
    registry = CollectorRegistry()
    registry.register(WebhookMetrics(counters))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
