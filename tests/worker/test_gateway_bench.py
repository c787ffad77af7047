"""The bench of the gateway, with a handful of requests."""

from __future__ import annotations

import pytest
from rich.console import Console

from worker.gateway_bench.config import GatewayBenchConfig
from worker.gateway_bench.run import run
from worker.gateway_bench.table import tables


def test_a_run_measures_overhead_and_streams(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    report = run(GatewayBenchConfig.quick(), told.append)
    data = report.to_json()
    latency = data["latency_ms"]
    difference = latency["gateway"]["median"] - latency["client"]["median"]
    assert data["overhead_ms"] == pytest.approx(difference)
    assert [its["finished"] for its in data["streams"]] == [4, 4]
    assert all(its["events"] >= 4 and its["seconds"] > 0 for its in data["streams"])
    assert data["idle_resident_bytes"] > 10 * 2**20, "a Python process"
    console = Console(width=120)
    for table in tables(report):
        console.print(table)
    assert f"adds {report.overhead:.1f} ms" in capsys.readouterr().out
