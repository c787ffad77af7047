"""Scraping what serves metrics by HTTP."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """One answer of /metrics. Raises AssertionError for a name that it does not have."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [its for family in self.families.values() for its in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of a name's samples that have these labels."""
        found = [
            its.value
            for its in self.samples
            if its.name == name and labels.items() <= its.labels.items()
        ]
        assert found, f"no {name} with {labels}"
        return sum(found)

    @property
    def names(self) -> set[str]:
        return {its.name for its in self.samples}


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(url: str) -> Scrape:
    status, text = get(f"{url}/metrics")
    assert status == 200
    return Scrape(text)


def told(url: str) -> tuple[int, Any]:
    """The status and the reason of a health answer; None where all is well."""
    status, text = get(url)
    return status, json.loads(text).get("reason")


def url_in(log: str) -> str | None:
    """Where a process's log says that its metrics are."""
    found = re.search(r"metrics and health at (http://\S+)", log)
    return found and found[1]
