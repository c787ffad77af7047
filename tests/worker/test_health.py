"""A worker that hangs, or has lost a thread or its server, says so; one that waits is well."""

from __future__ import annotations

import itertools
import threading
import urllib.request
from collections.abc import Iterator

import pytest
import redis
import torch
from prometheus_client import CollectorRegistry

from engine import Engine, EngineConfig
from jobs import Client
from tests.engine.models import random_model
from tests.waiting import until
from tests.worker.scrapes import get, scrape, told
from worker.batch_worker import BatchWorker
from worker.config import ConfigError, WorkerConfig
from worker.metrics.families import HealthCollector, WorkerCollector
from worker.metrics.health import Health
from worker.metrics.server import serving


class Gate:
    """Holds a model's forward, as a hung device would."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()

    def __call__(self, model: torch.nn.Module, args: object) -> None:
        assert self.is_open.wait(60)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def address(url: str, connection: redis.Redis, queue: str, gate: Gate) -> Iterator[str]:
    """Of a worker on a thread, with a short limit; it is told to stop at the end."""
    config = WorkerConfig(
        model="tiny",
        redis_url=url,
        queues=(queue,),
        lease=1,
        stall_seconds=3,  # an idle worker looks up once a second
        metrics_port=0,
        engine=EngineConfig(max_rows=4, kv_budget_tokens=10_000),
    )
    model = random_model(4, 2, 8, 1, 265)
    engine = Engine(model, None, config.engine)
    model.register_forward_pre_hook(gate)
    registry, health = CollectorRegistry(), Health.of(config)
    worker = BatchWorker(engine, connection, config, health=health)
    registry.register(HealthCollector(health, "tiny"))
    registry.register(WorkerCollector(engine, worker, "tiny"))
    thread = threading.Thread(target=worker.work)
    with serving("127.0.0.1", 0, registry, health) as (host, port):
        thread.start()
        yield f"http://{host}:{port}"
        gate.is_open.set()
        worker._on_signal(15, None)  # as the signal would, which only a main thread gets
        thread.join(60)
    assert not thread.is_alive()


def is_well(address: str) -> bool:
    return told(f"{address}/healthz")[0] == told(f"{address}/readyz")[0] == 200


def test_a_step_that_hangs_is_told_until_it_goes_on(
    address: str, client: Client, gate: Gate
) -> None:
    until(lambda: is_well(address), what="the worker")
    gate.is_open.clear()
    job_id = client.submit(prompt_tokens=[1], max_tokens=2)
    until(lambda: told(f"{address}/healthz")[0] == 503, what="the hung step to be told")
    assert told(f"{address}/healthz")[1].startswith("no step for ")
    assert told(f"{address}/readyz")[1].startswith("no step for ")
    assert scrape(address).value("rowmill:ready") == 0
    gate.is_open.set()
    assert client.result(job_id, timeout=60).rows
    until(lambda: is_well(address), what="the worker to be well again")


def test_a_worker_that_waits_for_jobs_is_well_for_longer_than_a_step_may_take(
    address: str,
) -> None:
    until(lambda: is_well(address), what="the worker")
    ages = [0.0]

    def has_waited() -> bool:
        assert told(f"{address}/healthz") == (200, None)
        ages.append(scrape(address).value("rowmill:heartbeat_age_seconds"))
        num_beats = sum(b < a for a, b in itertools.pairwise(ages))
        return num_beats > 18  # five of them are a second

    until(has_waited, what="some heartbeats")


def test_a_server_that_refuses_is_told_and_makes_no_worker_dead(
    address: str, connection: redis.Redis
) -> None:
    until(lambda: is_well(address), what="the worker")
    before = connection.config_get("maxmemory")["maxmemory"]
    try:
        connection.config_set("maxmemory", 1)
        until(lambda: told(f"{address}/readyz")[0] == 503, what="the loss to be told")
        assert told(f"{address}/readyz")[1].startswith("the server is out of reach: ")
        assert told(f"{address}/healthz") == (200, None)
    finally:
        connection.config_set("maxmemory", before)
    until(lambda: is_well(address), what="the worker to be well again")


def test_a_thread_that_died_is_told() -> None:
    health = Health(stall_seconds=60, heartbeat_seconds=60)
    thread = threading.Thread(target=lambda: None, name="finalizer")
    thread.start()
    health.watch(thread)
    health.enter("serving")
    health.heartbeat()
    thread.join()
    assert health.why_dead() == health.why_not_ready() == "dead threads: finalizer"


@pytest.mark.parametrize("version", ["version=1.0.0", "version=1.0.0;escaping=allow-utf-8"])
def test_names_keep_their_colons_whatever_form_is_asked_for(address: str, version: str) -> None:
    accept = f"application/openmetrics-text;{version};q=0.9,text/plain;version=0.0.4;q=0.5"
    request = urllib.request.Request(f"{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert b"\nrowmill:steps_total{" in answer.read()


def test_what_is_not_there_is_not_found(address: str) -> None:
    assert get(f"{address}/secrets")[0] == 404


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("metrics_port", 65536, "metrics_port must be from 0 to 65535, not 65536"),
        ("metrics_port", -1, "metrics_port must be from 0 to 65535, not -1"),
        ("stall_seconds", 0, "stall_seconds must be from 1 to 86400, not 0"),
    ],
)
def test_a_bad_setting_is_named(field: str, value: float, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        WorkerConfig(model="demo", redis_url="", engine=EngineConfig(), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["no host", "192.0.2.1", "::x"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    health = Health(stall_seconds=60, heartbeat_seconds=60)
    with (
        pytest.raises(ConfigError, match=f"metrics_port: can't listen on {host}, port 0"),
        serving(host, 0, CollectorRegistry(), health),
    ):
        pass
