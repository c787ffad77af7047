"""A real Prometheus takes in what a worker and a gateway tell, and all that is asked of it."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import yaml

from jobs import Client
from tests.deploy.dashboard import (
    ROOT,
    alerts,
    dashboard,
    metrics_in,
    panel_expressions,
    with_variables,
)
from tests.deploy.prometheus_process import (
    ALERTS,
    PROMTOOL,
    Prometheus,
    needs_prometheus,
    prometheus,
)
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import mixed_jobs
from tests.waiting import until
from tests.worker.scrapes import Scrape, scrape
from worker.embedded import embedded_server

QUEUE = "monitored"


@dataclasses.dataclass(frozen=True)
class Monitored:
    """`worker`, `gateway`, `webhooks`: where their metrics are, as http://host:port."""

    worker: str
    gateway: str
    webhooks: str
    worker_log: Path


def address_in(log: Path, pattern: str) -> str:
    until(lambda: re.search(pattern, log.read_text()), what=f"{pattern} in {log}")
    found = re.search(pattern, log.read_text())
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """A worker and a gateway that have run some jobs, one of them streamed."""
    folder = tmp_path_factory.mktemp("monitored")
    logs = folder / "worker.log", folder / "gateway.log", folder / "webhooks.log"
    secrets = folder / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text('default = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"]\n')
    with embedded_server() as url:
        worker = WorkerProcess(url, QUEUE, logs[0], ["--metrics-port", "0", "--lease", "1"])
        command = [sys.executable, "-m", "worker.cli", "gateway", "--redis", url]
        command += ["--queue", QUEUE, "--port", "0", "--metrics-port", "0"]
        command += ["--batch-folder", str(folder / "batches")]
        sending = [sys.executable, "-m", "worker.cli", "webhooks", "--redis", url]
        sending += ["--queue", QUEUE, "--secrets", str(secrets), "--metrics-port", "0"]
        with logs[1].open("wb") as output, logs[2].open("wb") as told:
            gateway = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            webhooks = subprocess.Popen(sending, stdout=told, stderr=subprocess.STDOUT)
        try:
            worker.wait_until_ready()
            http = address_in(logs[1], r"running on (http://\S+)")
            _use(url, http)
            yield Monitored(
                worker=address_in(logs[0], r"health at (http://\S+)"),
                gateway=address_in(logs[1], r"metrics at (http://\S+)/metrics"),
                webhooks=address_in(logs[2], r"metrics at (http://\S+)/metrics"),
                worker_log=logs[0],
            )
        finally:
            for process in (worker.process, gateway, webhooks):
                process.kill()
                process.wait()


def _use(url: str, http: str) -> None:
    with Client(url, QUEUE) as client:
        for job_id in client.submit_many(mixed_jobs(6)):
            client.result(job_id, timeout=60)
    with openai.OpenAI(base_url=f"{http}/v1", api_key="none", max_retries=0) as theirs:
        theirs.completions.create(model="demo", prompt="2+2", max_tokens=5)
        for _ in theirs.completions.create(model="demo", prompt="2+2", max_tokens=5, stream=True):
            pass


@pytest.fixture(scope="module")
def asked(monitored: Monitored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    targets = {
        "rowmill-worker": monitored.worker.removeprefix("http://"),
        "rowmill-gateway": monitored.gateway.removeprefix("http://"),
        "rowmill-webhooks": monitored.webhooks.removeprefix("http://"),
    }
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as started:
        for job in targets:
            until(lambda job=job: started.has_scraped(job, 3), what=f"answers of {job}")  # type: ignore[misc]
        yield started


@pytest.fixture(scope="module")
def told(monitored: Monitored) -> tuple[Scrape, ...]:
    addresses = (monitored.worker, monitored.gateway, monitored.webhooks)
    return tuple(scrape(address) for address in addresses)


def is_ours(name: str) -> bool:
    """Neither the process's nor when the library began to count."""
    return name.startswith("rowmill:") and not name.endswith("_created")


def test_every_metric_of_the_dashboard_and_the_alerts_is_told(told: tuple[Scrape, ...]) -> None:
    known = set().union(*(seen.names for seen in told))
    for expression in (*panel_expressions(), *alerts().values()):
        assert set(metrics_in(expression)) <= known, expression


def test_every_metric_that_is_told_is_on_the_dashboard(told: tuple[Scrape, ...]) -> None:
    shown = {name for expression in panel_expressions() for name in metrics_in(expression)}
    for seen in told:
        for family in seen.families.values():
            if is_ours(family.name):
                names = {its.name for its in family.samples}
                assert names & shown, family.name


def test_every_metric_that_is_told_is_documented(told: tuple[Scrape, ...]) -> None:
    documented = (ROOT / "docs/monitoring.md").read_text()
    for seen in told:
        for family in seen.families.values():
            ending = "_total" if family.type == "counter" else ""
            if is_ours(family.name):
                name = re.sub("^rowmill:(gateway_|webhooks_)?", "", family.name)
                assert f"`{name}{ending}`" in documented, family.name


def test_every_alert_is_documented() -> None:
    documented = (ROOT / "docs/monitoring.md").read_text()
    assert all(f"`{name}`" in documented for name in alerts())


@needs_prometheus
def test_every_panel_has_figures(asked: Prometheus) -> None:
    for expression in panel_expressions():
        assert asked.query(with_variables(expression)), expression


@needs_prometheus
def test_what_workers_are_scaled_by_has_a_figure(asked: Prometheus) -> None:
    scaling = yaml.safe_load((ROOT / "deploy/kubernetes/worker-scaling.yaml").read_text())
    (trigger,) = scaling["spec"]["triggers"]
    ((value,),) = ([its["value"][1]] for its in asked.query(trigger["metadata"]["query"]))
    assert float(value) == 0, "nothing waits or runs"


@needs_prometheus
def test_every_variable_of_the_dashboard_has_values(asked: Prometheus) -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found is not None
            assert asked.ask(f"label/{found[2]}/values", **{"match[]": found[1]})


@needs_prometheus
def test_prometheus_has_the_counts_that_were_told(
    asked: Prometheus, told: tuple[Scrape, ...]
) -> None:
    for seen, name in (
        (told[0], "rowmill:generation_tokens_total"),
        (told[0], "rowmill:inter_token_latency_seconds_count"),
        (told[1], "rowmill:gateway_tokens_total"),
        (told[1], "rowmill:gateway_rows_total"),
    ):
        ((value,),) = ([its["value"][1]] for its in asked.query(name))
        assert float(value) == seen.value(name) > 0


@needs_prometheus
def test_the_gateway_s_requests_are_told_by_their_routes(asked: Prometheus) -> None:
    for name in ("http_requests_total", "time_to_first_token_seconds_count"):
        (found,) = asked.query(f'rowmill:gateway_{name}{{route="/v1/completions"}}')
        assert float(found["value"][1]) == (2 if name.endswith("total") else 1)


@needs_prometheus
def test_no_alert_fires_where_all_is_well(asked: Prometheus) -> None:
    until(
        lambda: all(
            rule["lastEvaluation"] > "2000" for rule in asked.ask("rules")["groups"][0]["rules"]
        ),
        what="the rules to be looked at",
    )
    rules = asked.ask("rules")["groups"][0]["rules"]
    assert {rule["name"] for rule in rules} == set(alerts())
    assert [rule["health"] for rule in rules] == ["ok"] * len(rules)
    well = {"RowmillNotReproducible": "a machine may have no kernels"}
    assert all(rule["state"] == "inactive" or rule["name"] in well for rule in rules)


@needs_prometheus
def test_promtool_accepts_the_configuration_and_each_alert_fires_for_what_it_is_for(
    tmp_path: Path,
) -> None:
    config = ALERTS.parent / "prometheus.yml"
    shutil.copy(ALERTS, tmp_path)
    cases = shutil.copy(Path(__file__).parent / "alerts_test.yml", tmp_path)
    for arguments in (["check", "config", str(config)], ["test", "rules", cases]):
        result = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
    assert all(name in Path(cases).read_text() for name in alerts())


@needs_prometheus
def test_promtool_finds_nothing_to_mend_in_what_is_told(monitored: Monitored) -> None:
    """But for the colons, which are vLLM's."""
    import urllib.request

    for address in (monitored.worker, monitored.gateway, monitored.webhooks):
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            text = answer.read()
        result = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True)
        problems = [
            line
            for line in (result.stdout + result.stderr).decode().splitlines()
            if "should not contain ':'" not in line
        ]
        assert problems == []
