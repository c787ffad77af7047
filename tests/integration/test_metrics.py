"""What a worker tells by HTTP is what it did."""

from __future__ import annotations

import signal
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from jobs import Client, GenerateJob, SampledRows
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import long_jobs, mixed_jobs
from tests.waiting import until
from tests.worker.scrapes import Scrape, get, scrape, told, url_in

MAX_ROWS = 8


@pytest.fixture(scope="module")
def module_queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def worker(
    url: str, module_queue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    log = tmp_path_factory.mktemp("worker") / "log"
    arguments = ["--metrics-port", "0", "--max-rows", str(MAX_ROWS), "--lease", "1"]
    started = WorkerProcess(url, module_queue, log, arguments)
    started.wait_until_ready()
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture(scope="module")
def address(worker: WorkerProcess) -> str:
    found = url_in(worker.log)
    assert found is not None
    return found


@pytest.fixture
def module_client(url: str, module_queue: str) -> Iterator[Client]:
    with Client(url, module_queue) as opened:
        yield opened


def run(client: Client, pushed: list[GenerateJob]) -> list[SampledRows]:
    return [client.result(job_id, timeout=60) for job_id in client.submit_many(pushed)]


def grown(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return after.value(name, **labels) - before.value(name, **labels)


def test_the_counts_are_those_of_the_results(
    address: str, module_client: Client, worker: WorkerProcess
) -> None:
    before = scrape(address)
    pushed = mixed_jobs(12)
    results = run(module_client, pushed)
    until(  # outcomes are counted after they are stored
        lambda: grown(before, scrape(address), "rowmill:jobs_total") == len(pushed),
        what="all jobs to be counted",
    )
    after = scrape(address)
    rows = [row for result in results for row in result.rows]
    num_tokens = sum(len(row.tokens) for row in rows)
    assert grown(before, after, "rowmill:generation_tokens_total") == num_tokens
    assert grown(before, after, "rowmill:started_rows_total") == len(rows)
    for reason in ("stop", "length"):
        num_rows = sum(row.finish_reason == reason for row in rows)
        counted = grown(before, after, "rowmill:request_success_total", finished_reason=reason)
        assert counted == num_rows
    num_prompt_tokens = sum(len(job.prompt_tokens) for job in pushed)
    assert grown(before, after, "rowmill:prompt_tokens_total") == num_prompt_tokens
    assert grown(before, after, "rowmill:claimed_jobs_total") == len(pushed)
    assert grown(before, after, "rowmill:jobs_total", status="finished") == len(pushed)
    for name in (
        *("time_to_first_token", "e2e_request_latency", "request_queue_time"),
        *("request_prefill_time", "request_decode_time"),
    ):
        assert grown(before, after, f"rowmill:{name}_seconds_count") == len(pushed)
    between = "rowmill:inter_token_latency_seconds_count"
    assert grown(before, after, between) == num_tokens - len(rows)
    num_steps = grown(before, after, "rowmill:steps_total")
    assert grown(before, after, "rowmill:step_rows_count") == num_steps
    assert grown(before, after, "rowmill:step_rows_sum") == num_tokens
    assert grown(before, after, "rowmill:step_seconds_count") >= num_steps


def test_a_request_s_parts_are_its_whole(address: str, module_client: Client) -> None:
    before = scrape(address)
    run(module_client, mixed_jobs(12))
    after = scrape(address)

    def spent(part: str) -> float:
        return grown(before, after, f"rowmill:{part}_seconds_sum")

    first = spent("request_queue_time") + spent("request_prefill_time")
    assert first == pytest.approx(spent("time_to_first_token"))
    assert first + spent("request_decode_time") <= spent("e2e_request_latency")


def test_histograms_count_upwards_to_all(address: str, module_client: Client) -> None:
    run(module_client, mixed_jobs(2))
    seen = scrape(address)
    histograms = [its for its in seen.families.values() if its.type == "histogram"]
    assert len(histograms) == 8
    for family in histograms:
        buckets = [its for its in family.samples if its.name.endswith("_bucket")]
        counts = [its.value for its in buckets]
        assert counts == sorted(counts)
        assert buckets[-1].labels["le"] == "+Inf"
        assert counts[-1] == seen.value(f"{family.name}_count")


def test_an_idle_worker_runs_nothing_and_waits_for_nothing(
    address: str, module_client: Client, module_queue: str
) -> None:
    run(module_client, mixed_jobs(12))
    until(lambda: scrape(address).value("rowmill:num_requests_running") == 0, what="idleness")
    seen = scrape(address)
    for name in ("num_rows_running", "num_rows_pending", "batch_fill_perc", "unstored_outcomes"):
        assert seen.value(f"rowmill:{name}") == 0
    assert seen.value("rowmill:kv_cache_usage_perc") < 1
    assert seen.value("rowmill:max_rows") == MAX_ROWS
    assert seen.value("rowmill:ready") == 1
    until(
        lambda: scrape(address).value("rowmill:num_rows_waiting", queue=module_queue) == 0,
        what="a look at the queue",
    )


def test_the_verdict_is_that_of_the_results(address: str, module_client: Client) -> None:
    (result,) = run(module_client, mixed_jobs(1))
    provenance = result.provenance
    assert provenance is not None
    value = scrape(address).value(
        "rowmill:reproducible",
        policy=provenance.policy,
        kernels=provenance.kernels,
        dtype=provenance.dtype or "",
        model=provenance.model or "",
        model_name="demo",
    )
    assert value == provenance.reproducible


def test_what_waits_is_told_with_its_rows_and_age(
    address: str, module_client: Client, module_queue: str
) -> None:
    """A batch that is full for long leaves the rest in the queue."""
    held = module_client.submit_many(long_jobs(20))
    try:

        def is_told() -> bool:
            seen = scrape(address)
            waiting = seen.value("rowmill:num_requests_waiting", queue=module_queue)
            rows = seen.value("rowmill:num_rows_waiting", queue=module_queue)
            age = seen.value("rowmill:oldest_request_age_seconds", queue=module_queue)
            return waiting > 0 and rows == waiting * 16 and age > 0

        until(is_told, what="what waits to be told")
        seen = scrape(address)
        running = seen.value("rowmill:num_rows_running")
        assert 0 <= running <= MAX_ROWS
        assert seen.value("rowmill:batch_fill_perc") <= 1
    finally:
        for job_id in held:
            module_client.cancel(job_id)


def test_a_worker_is_alive_while_it_loads_and_ready_only_then(
    url: str, queue: str, tmp_path: Path
) -> None:
    worker = WorkerProcess(url, queue, tmp_path / "log", ["--metrics-port", "0"])
    try:
        until(lambda: url_in(worker.log), what="the metrics' address")
        address = url_in(worker.log)
        assert told(f"{address}/readyz") == (503, "the model is loading")
        assert told(f"{address}/healthz") == (200, None)
        assert scrape(str(address)).value("rowmill:ready") == 0
        until(lambda: told(f"{address}/readyz") == (200, None), what="readiness")
        with Client(url, queue) as client:
            client.submit_many(long_jobs(8))
            until(lambda: scrape(str(address)).value("rowmill:num_rows_running") > 0, what="rows")
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: told(f"{address}/readyz")[0] == 503, what="the drain")
        status, reason = told(f"{address}/readyz")
        assert (status, reason.split(":")[0]) == (503, "draining")
        assert told(f"{address}/healthz") == (200, None)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0
        with pytest.raises(urllib.error.URLError):
            get(f"{address}/healthz")
    finally:
        worker.process.kill()
        worker.process.wait()


def test_a_port_that_is_taken_is_bad_input(
    worker: WorkerProcess, address: str, url: str, tmp_path: Path
) -> None:
    port = address.rpartition(":")[2]
    second = WorkerProcess(url, "other", tmp_path / "log", ["--metrics-port", port])
    assert second.process.wait(60) == 2
    assert f"metrics_port: can't listen on 127.0.0.1, port {port}" in " ".join(second.log.split())


def test_an_attempt_after_a_worker_s_death_counts_as_a_retry_and_a_requeued_job(
    address: str, module_client: Client, module_queue: str, connection: redis.Redis
) -> None:
    before = scrape(address)
    (job_id,) = module_client.submit_many(long_jobs(1))
    executions = f"rq:executions:{job_id}"
    until(lambda: connection.zcard(executions), what="the claim")
    # As of a worker that went silent: whoever looks after the queue takes its job away.
    composite = f"{job_id}:{connection.zrange(executions, 0, 0)[0].decode()}"
    until(
        lambda: _lets_go(connection, module_queue, composite, address, before),
        what="the job to be requeued",
    )
    assert module_client.result(job_id, timeout=60).rows
    after = scrape(address)
    assert grown(before, after, "rowmill:retries_total") >= 1


def _lets_go(
    connection: redis.Redis, queue: str, composite: str, address: str, before: Scrape
) -> bool:
    connection.zadd(f"rq:wip:{queue}", {composite: 1}, xx=True)
    return grown(before, scrape(address), "rowmill:requeued_jobs_total") >= 1
