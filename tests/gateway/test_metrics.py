"""A gateway counts what it answered, by routes and not by what callers make up."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from gateway.caller import Caller
from gateway.config import GatewayConfig, GatewayConfigError
from gateway.errors import ApiError
from gateway.metrics import Metrics
from gateway.metrics_server import serving_metrics
from gateway.services import Services
from gateway.submission import submit
from jobs import GenerateJob
from tests.gateway.conftest import Gateway

PREFIX = "rowmill:gateway_"


def metrics_of(client: TestClient) -> Metrics:
    app = client.app
    assert isinstance(app, FastAPI)
    metrics: Metrics = app.state.services.metrics
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(PREFIX + name, labels) or 0.0


def with_routes(client: TestClient) -> TestClient:
    app = client.app
    assert isinstance(app, FastAPI)

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        return name

    @app.get("/defect")
    async def defect() -> None:
        raise KeyError("a defect")

    @app.get("/news/{number}")
    async def news(number: int) -> StreamingResponse:
        parts = (b": still here\n\n", *(b"data: 1\n\n" for _ in range(number)))
        return StreamingResponse(iter(parts), media_type="text/event-stream")

    return client


def test_requests_count_by_the_route_that_answers_and_not_by_their_path(gateway: Gateway) -> None:
    client = with_routes(gateway())
    for name in ("a", "b", "c"):
        assert client.get(f"/things/{name}").status_code == 200
    metrics = metrics_of(client)
    labels = {"method": "GET", "route": "/things/{name}"}
    assert value(metrics, "http_requests_total", **labels, status="200") == 3
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 3
    assert value(metrics, "open_requests") == value(metrics, "open_streams") == 0


def test_what_callers_make_up_counts_as_one(gateway: Gateway) -> None:
    client = with_routes(gateway())
    for number in range(5):
        assert client.request(f"M{number}", f"/made/up/{number}").status_code == 404
    metrics = metrics_of(client)
    labels = {"method": "other", "route": "none", "status": "404"}
    assert value(metrics, "http_requests_total", **labels) == 5
    counted = [its for its in metrics.requests.collect()[0].samples if its.name.endswith("_total")]
    assert len(counted) == 1


def test_a_defect_counts_as_what_its_caller_was_told(gateway: Gateway) -> None:
    client = with_routes(gateway())
    assert client.get("/defect").status_code == 500
    labels = {"method": "GET", "route": "/defect", "status": "500"}
    assert value(metrics_of(client), "http_requests_total", **labels) == 1


def test_a_stream_s_first_token_is_its_first_event_and_no_comment(gateway: Gateway) -> None:
    client = with_routes(gateway())
    for number in (3, 0):
        assert client.get(f"/news/{number}").status_code == 200
    metrics = metrics_of(client)
    route = {"route": "/news/{number}"}
    assert value(metrics, "time_to_first_token_seconds_count", **route) == 1
    assert value(metrics, "http_request_duration_seconds_count", method="GET", **route) == 2
    assert value(metrics, "open_streams") == 0


def test_jobs_and_refusals_by_quota_count_and_what_was_refused_was_not_pushed(
    url: str, queue: str
) -> None:
    async def run() -> Metrics:
        services = Services(GatewayConfig(redis_url=url))
        caller = Caller(tenant=queue, queue=queue, rows_per_minute=5)
        job = GenerateJob(prompt_tokens=[1], max_tokens=1, num_samples=2)
        await submit(services, caller, [job, job])
        with pytest.raises(ApiError):
            await submit(services, caller, [job])
        await services.close()
        return services.metrics

    metrics = asyncio.run(run())
    assert value(metrics, "jobs_total") == 2
    assert value(metrics, "rows_total") == 4
    assert value(metrics, "quota_refusals_total", code="rows_quota_used_up") == 1


def test_batches_are_counted_as_they_are_when_somebody_asks() -> None:
    metrics, batches = Metrics(), ["a"]
    metrics.watch_batches(lambda: len(batches))
    assert value(metrics, "batches_active") == 1
    batches.append("b")
    assert value(metrics, "batches_active") == 2


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.2",
    ],
)
def test_names_keep_their_colons_whatever_form_is_asked_for(accept: str) -> None:
    with serving_metrics("127.0.0.1", 0, Metrics().registry) as url:
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert b"\nrowmill:gateway_open_streams 0.0\n" in answer.read()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(GatewayConfigError, match=f"can't listen on 127.0.0.1, port {port}"),
            serving_metrics("127.0.0.1", port, Metrics().registry),
        ):
            pass
