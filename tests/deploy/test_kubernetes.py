"""The Kubernetes example gives its programs options that they have, and time to finish."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from tests.deploy.dashboard import ROOT, metrics_in, panel_expressions
from worker.cli import app

FILES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))


def objects(kind: str) -> dict[str, Any]:
    """By name, of all files."""
    found = [its for file in FILES for its in yaml.safe_load_all(file.read_text())]
    return {its["metadata"]["name"]: its for its in found if its["kind"] == kind}


@pytest.fixture(params=["rowmill-worker", "rowmill-gateway"])
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    template: dict[str, Any] = objects("Deployment")[request.param]["spec"]["template"]
    return template


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (its,) = pod["spec"]["containers"]
    return dict(its)


def option(pod: dict[str, Any], name: str) -> str:
    arguments: list[str] = container(pod)["args"]
    return arguments[arguments.index(name) + 1]


def test_a_program_has_the_options_that_it_is_given(pod: dict[str, Any]) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    name, *arguments = container(pod)["args"]
    known = {option for its in group.commands[name].params for option in its.opts}
    assert {its for its in arguments if its.startswith("--")} <= known
    assert all(isinstance(argument, str) for argument in arguments)


def test_a_pod_is_killed_only_after_its_drain_is_over(pod: dict[str, Any]) -> None:
    pause = container(pod).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
    before = float(pause[1]) if pause else 0.0
    # What is over then has yet to be stored, or to be told its end.
    last = 15
    drain = float(option(pod, "--drain-seconds"))
    assert before + drain + last < pod["spec"]["terminationGracePeriodSeconds"]


def test_probes_ask_where_the_program_listens(pod: dict[str, Any]) -> None:
    its = container(pod)
    ports = {port["name"]: str(port["containerPort"]) for port in its["ports"]}
    assert ports["metrics"] == option(pod, "--metrics-port")
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == ports["metrics"]
    if "http" in ports:
        assert ports["http"] == option(pod, "--port")
    asked = {kind: its[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: get["path"] for kind, get in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {get["port"] for get in asked.values()} == {"http" if "http" in ports else "metrics"}


def test_no_pod_is_root_or_carries_a_secret(pod: dict[str, Any]) -> None:
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] == 10001
    own = container(pod)["securityContext"]
    assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    (variable,) = container(pod)["env"]
    assert variable["name"] == "ROWMILL_REDIS" and "secretKeyRef" in variable["valueFrom"]


def test_what_selects_pods_finds_some() -> None:
    deployments = objects("Deployment")
    labels = [its["spec"]["template"]["metadata"]["labels"] for its in deployments.values()]
    for budget in objects("PodDisruptionBudget").values():
        assert budget["spec"]["selector"]["matchLabels"] in labels
    for service in objects("Service").values():
        assert service["spec"]["selector"] in labels
    assert set(objects("PodDisruptionBudget")) == set(deployments)


def test_metrics_are_not_among_what_callers_reach() -> None:
    (service,) = objects("Service").values()
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


def test_workers_are_scaled_by_rows_and_by_as_many_as_one_runs() -> None:
    (scaled,) = objects("ScaledObject").values()
    worker = objects("Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]["spec"]
    assert "replicas" not in worker, "it would be set back by whoever applies the file"
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == option(worker["template"], "--max-rows")
    assert scaled["spec"]["minReplicaCount"] >= 1, "without a worker nobody tells what waits"
    shown = {name for expression in panel_expressions() for name in metrics_in(expression)}
    assert set(metrics_in(trigger["metadata"]["query"])) == {
        "rowmill:num_rows_waiting",
        "rowmill:num_rows_running",
        "rowmill:num_rows_pending",
    }
    assert set(metrics_in(trigger["metadata"]["query"])) <= shown
