"""`rowmill bench`, on a toy of a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from typer.testing import CliRunner

from bench.config import BenchConfig
from bench.names import PEERS
from bench.run import run
from worker.cli import app

ROOT = Path(__file__).parent.parent.parent


def test_the_command_writes_the_figures_and_the_picture(tmp_path: Path) -> None:
    figures, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    command = [sys.executable, "-m", "worker.cli", "bench", "--quick", "--workloads", "mixed"]
    command += ["--repeats", "1", "--peer-repeats", "2", "--json", str(figures)]
    result = subprocess.run(
        [*command, "--plot", str(plot)], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert result.returncode == 0, result.stderr
    data = json.loads(figures.read_text())
    assert {"machine", "model", "workloads", "repeats", "left_out"} <= data.keys()
    assert data["left_out"] == {}
    assert data["provenance"]["mixed"]["model"]
    assert data["growth"].keys() == {"rows", "requests"}
    assert data["policy_cost"].keys() == {"samples", "singles"}
    assert data["controls"]["ratios"]["different / equal"] > 0
    assert data["prefixes"].keys() == {"shared", "unique"}
    assert data["workloads"].keys() == {"mixed"}
    for workload, speeds in data["workloads"].items():
        assert tuple(speeds) == PEERS
        for engine, speed in speeds.items():
            repeats = data["repeats"][workload][engine]
            assert len(repeats) == (2 if "transformers" in engine else 1)
            assert speed == median(repeats) > 0
    assert data["memory"]["long_prompt_peak_bytes"].keys() == {"rowmill", "sequential"}
    assert plot.read_text().startswith("<?xml")
    assert "of the floor" in result.stdout


def test_a_peer_whose_library_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    config = BenchConfig(
        workloads=("singles",),
        peers=("floor", "transformers_generate"),
        repeats=1,
        is_quick=True,
        has_growth=False,
        has_policy_cost=False,
        has_controls=False,
        has_prefixes=False,
        has_memory=False,
    )
    report = run(config, lambda _: None)
    assert report.engines == ["floor"]
    assert report.provenance == {}
    assert "rowmill[hf]" in report.left_out["transformers_generate"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--workloads", "samples,naps"], "'naps' is unknown"),
        (["--peers", "rowmill,vllm"], "'vllm' is unknown"),
        (["--peers", ","], "name at least one"),
        (["--dtype", "int4"], "must be one of float32, bfloat16"),
        (["--device", "tpu"], "must be cpu or cuda"),
        (["--plot", "bench.pdf"], "must end in .svg or .png"),
        (["--plot", "bench.svg", "--peers", "rowmill"], "has to name it"),
        (["--json", "/nowhere/bench.json"], "No such file"),
    ],
)
def test_bad_options_are_refused_before_the_run(options: list[str], reason: str) -> None:
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 2
    assert reason in result.stderr
