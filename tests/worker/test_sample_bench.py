"""The bench of `rowmill sample`, with a handful of inputs."""

from __future__ import annotations

import pytest
from rich.console import Console
from typer.testing import CliRunner

from worker.cli import app
from worker.sample_bench.config import SampleBenchConfig
from worker.sample_bench.run import run
from worker.sample_bench.table import tables


def test_a_run_measures_speed_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    report = run(SampleBenchConfig.quick(), told.append)
    data = report.to_json()
    its = data["throughput"]["random"]
    assert (its["inputs"], its["rows"], its["tokens"]) == (3, 6, 6 * 64)
    speeds = its["tokens_per_second"]
    assert its["ratio"] == pytest.approx(speeds["sample"] / speeds["engine"])
    assert its["repeats"] == {name: [pytest.approx(speeds[name])] for name in speeds}
    (memory,) = data["memory"]
    assert memory["num_inputs"] == 12
    assert memory["sampler_peak_bytes"] > 10 * 2**20, "a Python process"
    assert memory["server_base_bytes"] > 2**20, "a server"
    assert memory["server_peak_bytes"] > 0 and memory["server_peak_resident_bytes"] >= 0
    assert len(told) == 3, "a turn of each, and the memory"
    console = Console(width=100)
    for table in tables(report):
        console.print(table)
    shown = capsys.readouterr().out
    assert f"{its['ratio']:.1%}" in shown and "server's data" in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--workloads", "tiny"], "'tiny' is unknown; there are questions, random"),
        (["--json", "/nowhere/sample.json"], "No such file"),
    ],
)
def test_what_can_not_run_is_refused_with_a_reason(words: list[str], reason: str) -> None:
    result = CliRunner().invoke(app, ["bench", "sample", *words])
    assert result.exit_code == 2
    assert reason in result.stderr
