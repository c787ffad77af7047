"""A worker's counts as Prometheus reads them, under vLLM's names where they mean the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from engine import Engine
from worker.batch_worker import BatchWorker
from worker.metrics.buckets import Buckets
from worker.metrics.health import Health
from worker.metrics.waiting import Waiting


class HealthCollector(Collector):
    """Whether the worker is ready: known before there is a model."""

    def __init__(self, health: Health, model_name: str) -> None:
        self._health = health
        self._families = Families(model_name)

    def collect(self) -> Iterator[Metric]:
        is_ready = self._health.why_not_ready() is None
        yield self._families.gauge("ready", "1 where the worker takes jobs.", float(is_ready))
        if (age := self._health.heartbeat_age) is not None:
            yield self._families.gauge(
                "heartbeat_age_seconds", "Since the server answered a heartbeat.", age
            )


class WorkerCollector(Collector):
    """All else. It only reads: plain counts of other threads, none of them locked."""

    def __init__(self, engine: Engine, worker: BatchWorker, model_name: str) -> None:
        self._engine = engine
        self._worker = worker
        self._families = Families(model_name)

    def collect(self) -> Iterator[Metric]:
        yield from self._load()
        yield from self._tokens()
        yield from self._times()
        yield from self._outcomes()
        yield from self._streams()
        yield from self._waiting(self._worker.waiting.by_queue)
        yield self._verdict()

    def _load(self) -> Iterator[Metric]:
        engine, meter, gauge = self._engine, self._worker.meter, self._families.gauge
        num_running = engine.num_running_rows
        num_pending = max(engine.num_busy_rows - num_running, 0)
        max_rows = engine.config.max_rows
        yield gauge("num_requests_running", "Jobs in the batch.", meter.running_jobs)
        yield gauge("num_rows_running", "Rows in the batch.", num_running)
        yield gauge("num_rows_pending", "Rows of claimed jobs that are to start.", num_pending)
        yield gauge("max_rows", "Most rows in the batch.", max_rows)
        fill = num_running / max_rows
        yield gauge("batch_fill_perc", "Rows in the batch, of the most: 0-1.", fill)
        yield gauge("kv_cache_usage_perc", "KV budget that requests hold: 0-1.", meter.kv_usage)
        yield gauge("kv_budget_tokens", "The present KV budget.", engine.kv_budget_tokens)
        backlog = self._worker.num_unstored
        yield gauge("unstored_outcomes", "Jobs done whose outcome is to be stored.", backlog)

    def _tokens(self) -> Iterator[Metric]:
        stats, counter = self._engine.stats, self._families.counter
        num_cached = stats.cached_prompt_tokens
        num_prompt_tokens = stats.prompt_tokens + num_cached
        yield counter("prompt_tokens", "Prompt tokens, computed or cached.", num_prompt_tokens)
        yield counter("generation_tokens", "Tokens that rows took, forced ones too.", stats.tokens)
        yield counter("prefix_cache_queries", "Prompt tokens that were needed.", num_prompt_tokens)
        yield counter("prefix_cache_hits", "Those that the prefix cache had.", num_cached)
        yield counter("steps", "Engine steps that gave tokens.", stats.steps)
        yield counter("started_rows", "Rows that took their first token.", stats.started_rows)
        yield counter("memory_shortages", "Steps in which memory ran out.", stats.memory_shortages)
        yield counter("restarted_rows", "Rows that started over for that.", stats.restarted_rows)

    def _times(self) -> Iterator[Metric]:
        meter, histogram = self._worker.meter, self._families.histogram
        yield histogram("step_seconds", "Of a step of the engine.", meter.step_seconds)
        yield histogram("step_rows", "Rows that a step gave tokens.", meter.step_rows)
        yield histogram(
            "inter_token_latency_seconds", "Between a row's tokens.", meter.inter_token_seconds
        )
        yield histogram(
            "time_to_first_token_seconds",
            "From a job's push to the first token of its rows.",
            meter.first_token_seconds,
        )
        yield histogram(
            "e2e_request_latency_seconds",
            "From a job's push until its rows are stored.",
            meter.request_seconds,
        )
        yield histogram(
            "request_queue_time_seconds",
            "From a job's push until the batch admits it.",
            meter.queue_seconds,
        )
        yield histogram(
            "request_prefill_time_seconds",
            "From there to the first token of its rows.",
            meter.prefill_seconds,
        )
        yield histogram(
            "request_decode_time_seconds", "From there to the last.", meter.decode_seconds
        )

    def _outcomes(self) -> Iterator[Metric]:
        meter, counter = self._worker.meter, self._families.counter
        yield self._families.labelled(
            CounterMetricFamily,
            "request_success",
            "Rows of jobs that finished, by their finish reason.",
            "finished_reason",
            dict(meter.rows),
        )
        yield self._families.labelled(
            CounterMetricFamily, "jobs", "Jobs by how they ended.", "status", dict(meter.jobs)
        )
        yield counter("claimed_jobs", "Jobs taken from the queues.", meter.claimed_jobs)
        yield counter("retries", "Attempts after a job's first: each runs alone.", meter.retries)
        yield counter("late_results", "Outcomes that were fenced off.", meter.late_results)
        yield counter(
            "requeued_jobs", "Jobs of dead workers that this one requeued.", meter.requeued_jobs
        )
        yield counter(
            "abandoned_jobs",
            "Jobs that this one failed, as they took a worker down in every attempt.",
            meter.abandoned_jobs,
        )

    def _streams(self) -> Iterator[Metric]:
        publisher, counter = self._worker.publisher, self._families.counter
        yield counter("stream_chunks", "Pieces of jobs that stream.", publisher.num_chunks)
        yield counter(
            "stream_dropped_tokens",
            "Tokens that no reader has before the result.",
            publisher.num_dropped_tokens,
        )

    def _waiting(self, by_queue: Mapping[str, Waiting]) -> Iterator[Metric]:
        figures = (
            ("num_requests_waiting", "Jobs in the queue.", "jobs"),
            ("num_rows_waiting", "Their rows.", "rows"),
            ("oldest_request_age_seconds", "Since the first was pushed.", "oldest_seconds"),
        )
        for name, text, field in figures:
            values = {queue: getattr(its, field) for queue, its in by_queue.items()}
            yield self._families.labelled(GaugeMetricFamily, name, text, "queue", values)

    def _verdict(self) -> Metric:
        provenance = self._engine.provenance
        labels = {
            "policy": provenance.policy,
            "kernels": provenance.kernels,
            "dtype": provenance.dtype or "",
            "model": provenance.model or "",
        }
        return self._families.gauge(
            "reproducible",
            "1 where rows were found not to depend on what shares the batch.",
            float(provenance.reproducible),
            labels,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Families:
    """Makes metrics of Rowmill's prefix that tell the model's name."""

    model_name: str

    def gauge(
        self, name: str, text: str, value: float, labels: Mapping[str, str] | None = None
    ) -> Metric:
        labels = {"model_name": self.model_name, **(labels or {})}
        family = GaugeMetricFamily(f"rowmill:{name}", text, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        return family

    def counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"rowmill:{name}", text, labels=["model_name"])
        family.add_metric([self.model_name], value)
        return family

    def labelled(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        label: str,
        values: Mapping[str, float],
    ) -> Metric:
        family = kind(f"rowmill:{name}", text, labels=["model_name", label])
        for its, value in values.items():
            family.add_metric([self.model_name, its], value)
        return family

    def histogram(self, name: str, text: str, buckets: Buckets) -> Metric:
        counted = buckets.counted()
        family = HistogramMetricFamily(f"rowmill:{name}", text, labels=["model_name"])
        bounds: Iterable[str] = (*map(floatToGoString, counted.bounds), "+Inf")
        pairs = list(zip(bounds, map(float, counted.counts), strict=True))
        family.add_metric([self.model_name], pairs, sum_value=counted.total)
        return family
