"""The dashboard and the alerts as lists of PromQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deploy/grafana/rowmill.json"


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def panel_expressions() -> list[str]:
    """As they are written."""
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]


def with_variables(expression: str) -> str:
    """As Grafana asks, with all models and queues chosen."""
    for name, value in (("$model_name", ".*"), ("$queue", ".*"), ("$__rate_interval", "1m")):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def alerts() -> dict[str, str]:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    return {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def metrics_in(expression: str) -> Iterator[str]:
    """The names of Rowmill's metrics in an expression, or in a text."""
    yield from re.findall(r"rowmill:[a-z0-9_]+", expression)
