"""From settings to a running worker: where the parts are put together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from engine import Engine, EngineStats, Provenance
from engine.models import load_model
from engine.native import HOW_TO_BUILD, are_missing
from jobs.connection import address_of, open_connection, server_errors
from worker.batch_worker import BatchWorker
from worker.config import WorkerConfig
from worker.metrics.families import HealthCollector, WorkerCollector
from worker.metrics.health import Health
from worker.metrics.server import serving
from worker.permissions import check_permissions

log = logging.getLogger("rowmill.worker")


def run_worker(
    config: WorkerConfig,
    *,
    burst: bool = False,
    on_loading: Callable[[float], None] | None = None,
) -> bool:
    """Load the model and work until a signal, or with `burst` until the queue is empty.

    Returns False where the engine failed and the worker had to stop. Raises ModelError, or
    ServerUnavailableError where the server can't be reached at the start; later it is waited for.
    """
    registry, health = CollectorRegistry(), Health.of(config)
    with contextlib.ExitStack() as stack:
        if config.metrics_port is not None:  # first: it tells that the model loads
            _register_process(registry, health, config.model_name)
            where = (config.metrics_host, config.metrics_port)
            stack.enter_context(serving(*where, registry, health))
        return _run_worker(config, registry, health, burst=burst, on_loading=on_loading)


def _run_worker(
    config: WorkerConfig,
    registry: CollectorRegistry,
    health: Health,
    *,
    burst: bool,
    on_loading: Callable[[float], None] | None,
) -> bool:
    connection = open_connection(config.redis_url)
    address = address_of(connection)
    with server_errors(address):
        connection.ping()
        check_permissions(connection, config.queues)
    engine = load_engine(config, on_loading)
    with server_errors(address):
        worker = BatchWorker(engine, connection, config, health=health)
        registry.register(WorkerCollector(engine, worker, config.model_name))
        log.info(
            "worker %s serves %s on queue %s at %s: %d rows, %d tokens of KV cache",
            worker.name,
            config.model,
            ", ".join(config.queues),
            address,
            config.engine.max_rows,
            engine.kv_budget_tokens,
        )
        try:
            return worker.work(burst)
        finally:
            _report(engine.stats)
            connection.close()


def _register_process(registry: CollectorRegistry, health: Health, model_name: str) -> None:
    registry.register(HealthCollector(health, model_name))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)


def load_engine(config: WorkerConfig, on_loading: Callable[[float], None] | None = None) -> Engine:
    """The engine of a worker, with its model. Raises ModelError.

    `on_loading` is told how much of a large model is read, from 0 to 1.
    """
    import torch  # only now: engine, imported first, prepares torch's environment

    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model, tokenizer = load_model(config.model, device, config.dtype, progress=on_loading)
    if tokenizer is None:
        ends = "where the model has it" if getattr(model, "end_tokens", ()) else "at max_tokens"
        log.warning("%s has no tokenizer: rows end %s, tool use is off", config.model, ends)
    engine = Engine(model, tokenizer, config.engine)
    _report_probe(engine.provenance)
    if device == "cpu" and engine.provenance.dtype == "float32" and are_missing():
        log.warning("steps are slower than they could be: %s", HOW_TO_BUILD)
    return engine


def _report_probe(provenance: Provenance) -> None:
    """The engine has said what differed, if anything did."""
    measures = f"policy {provenance.policy}, kernels {provenance.kernels}"
    if provenance.reproducible:
        log.info("reproducible: yes (%s)", measures)
    else:
        log.warning("NOT reproducible (%s): every result says so", measures)


def _report(stats: EngineStats) -> None:
    if stats.steps:
        rows_per_step = stats.tokens / stats.steps
        log.info(
            "%d tokens in %d steps, %.1f rows per step", stats.tokens, stats.steps, rows_per_step
        )
