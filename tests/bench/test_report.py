"""From repeats to figures, tables and a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from bench.controls import ControlsFigures
from bench.growth import Growth, GrowthFigure
from bench.machine import Machine
from bench.memory import KVFigure, MemoryFigures
from bench.plot import draw
from bench.policy_cost import PolicyCost
from bench.prefixes import PrefixFigure
from bench.report import BenchReport
from bench.table import tables
from engine import Provenance


def figure(num_requests: int, num_rows: int, *speeds: float) -> GrowthFigure:
    return GrowthFigure(
        requests=num_requests, rows_per_request=num_rows, row_tokens=64, repeats=list(speeds)
    )


REPORT = BenchReport(
    machine=Machine(
        device="An abacus",
        threads=2,
        torch_version="2.13.0",
        transformers_version="5.24.0",
        dtype="float32",
    ),
    model={"parameters": 17_000_000},
    about={"samples": {"rows": 128}, "singles": {"rows": 64}},
    repeats={
        "samples": {
            "rowmill": [600.0, 900.0, 500.0],
            "sequential": [100.0, 100.0, 90.0],
            "transformers_generate": [200.0],
            "floor": [1000.0, 1000.0, 1000.0],
        },
        "singles": {"rowmill": [300.0], "sequential": [60.0]},
    },
    provenance={
        "samples": Provenance(
            reproducible=True,
            model="c0ffee",
            dtype="float32",
            device="An abacus",
            kernels="native",
            policy="tile-4",
            sampler=1,
            versions={"torch": "2.13.0"},
        )
    },
    growth=Growth(
        rows=[figure(16, 8, 600.0, 640.0, 700.0), figure(16, 16, 800.0)],
        requests=[figure(16, 8, 600.0, 640.0, 700.0), figure(32, 8, 512.0)],
    ),
    policy_cost={
        "samples": PolicyCost(
            on=[970.0, 960.0, 900.0],
            off=[1000.0, 990.0, 1010.0],
            policies={"on": "mkl-strict", "off": "none"},
        )
    },
    controls=ControlsFigures(
        rows=64,
        turns={
            "plain": [10.0, 20.0, 10.0],
            "equal": [11.0, 22.0, 12.5],
            "different": [12.1, 24.2, 12.5],
            "logprobs": [10.5, 21.0, 10.5],
            "top_logprobs": [10.7, 21.4, 10.7],
            "structured": [13.0, 26.0, 15.0],
        },
    ),
    prefixes={
        "shared": PrefixFigure(
            requests=64,
            common_tokens=512,
            own_tokens=32,
            computed_tokens=2_560,
            found_tokens=32_256,
            on=[0.25, 0.5, 0.25],
            off=[4.0, 4.0, 5.0],
        )
    },
    left_out={"transformers_generate_batch": "it is on holiday"},
    memory=MemoryFigures(
        kv=[
            KVFigure(
                rows=4,
                prompt_tokens=512,
                new_tokens=64,
                bytes=7_000_000,
                shared_bytes=7_100_000,
                copied_bytes=21_300_000,
            )
        ],
        long_prompt_peak_bytes={"rowmill": 50_000_000, "sequential": 80_000_000},
    ),
)


def printed(report: BenchReport) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        for table in tables(report):
            console.print(table)
    return capture.get()


def test_a_speed_is_the_median_of_its_repeats() -> None:
    assert REPORT.speed("samples", "rowmill") == 600.0
    assert REPORT.ratio("samples", "rowmill", "sequential") == 6.0
    assert REPORT.speed("singles", "floor") is None
    assert REPORT.ratio("singles", "rowmill", "floor") is None


def test_the_json_has_medians_and_every_repeat() -> None:
    data = REPORT.to_json()
    assert data["workloads"]["samples"]["rowmill"] == 600.0
    assert data["repeats"]["samples"]["rowmill"] == [600.0, 900.0, 500.0]
    assert data["memory"]["kv"][0]["shared_bytes"] == 7_100_000
    assert data["machine"]["device"] == "An abacus"
    assert data["machine"]["transformers_version"] == "5.24.0"
    assert data["provenance"]["samples"]["policy"] == "tile-4"


def test_the_json_has_the_cost_of_the_policy_as_a_share_of_the_speed_without_it() -> None:
    cost = REPORT.to_json()["policy_cost"]["samples"]
    assert (cost["on"], cost["off"]) == (960.0, 1000.0)
    assert cost["cost"] == pytest.approx(0.04)
    assert cost["repeats"] == {"on": [970.0, 960.0, 900.0], "off": [1000.0, 990.0, 1010.0]}
    assert cost["policies"] == {"on": "mkl-strict", "off": "none"}


def test_the_json_has_the_time_per_row_at_every_size() -> None:
    growth = REPORT.to_json()["growth"]
    smallest = growth["rows"][0]
    assert smallest == growth["requests"][0]
    assert (smallest["requests"], smallest["rows_per_request"]) == (16, 8)
    assert (smallest["tokens_per_second"], smallest["seconds_per_row"]) == (640.0, 0.1)
    assert [its["seconds_per_row"] for its in growth["requests"]] == [0.1, 0.125]


def test_the_ratios_of_controls_are_of_neighbouring_turns() -> None:
    controls = REPORT.to_json()["controls"]
    assert controls["milliseconds_per_step"]["equal"] == 12.5
    assert controls["ratios"]["equal / plain"] == pytest.approx(1.1)
    assert controls["ratios"]["different / equal"] == pytest.approx(1.1)
    assert controls["ratios"]["logprobs / plain"] == pytest.approx(1.05)
    assert controls["ratios"]["structured / plain"] == pytest.approx(1.3)


def test_the_ratio_of_prefixes_is_of_turns_on_the_same_prompts() -> None:
    shared = REPORT.to_json()["prefixes"]["shared"]
    assert (shared["on"], shared["off"], shared["ratio"]) == (0.25, 4.0, 0.0625)
    assert (shared["computed_tokens"], shared["found_tokens"]) == (2_560, 32_256)
    assert shared["repeats"] == {"on": [0.25, 0.5, 0.25], "off": [4.0, 4.0, 5.0]}


def test_what_was_not_measured_is_left_out() -> None:
    report = dataclasses.replace(
        REPORT, growth=None, policy_cost={}, controls=None, prefixes={}, memory=None
    )
    data = report.to_json()
    assert (data["growth"], data["policy_cost"], data["memory"]) == (None, {}, None)
    assert data["controls"] is None and "per step" not in printed(report)
    assert data["prefixes"] == {} and "prefix cache" not in printed(report)
    assert "relative" not in printed(report)
    assert "on / off" not in printed(report)


@pytest.mark.parametrize(
    "text", ["An abacus", "17.0 million", "600", "6.0", "60 %", "3.0", "on holiday", "21.3", "80.0"]
)
def test_the_tables_tell_speeds_ratios_memory_and_what_is_missing(text: str) -> None:
    assert text in printed(REPORT)


@pytest.mark.parametrize(
    "text",
    [
        "transformers 5.24.0",
        "bits: tile-4",
        "0.960",
        "off: none",
        "32 x 8",
        "125.0",
        "1.25",
        "1.070",
        "512 + 32",
        "32,256",
        "0.062",
    ],
)
def test_the_tables_tell_policy_growth_versions_controls_and_prefixes(text: str) -> None:
    assert text in printed(REPORT)


@pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
def test_the_picture_is_the_same_file_for_the_same_figures(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / name, tmp_path / f"second-{name}"
    draw(REPORT, first)
    draw(REPORT, second)
    assert first.read_bytes() == second.read_bytes()


def test_the_picture_names_the_machine_and_the_engines(tmp_path: Path) -> None:
    draw(REPORT, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    for word in ("An abacus", "Rowmill", "sequential engine", "the floor", "samples"):
        assert word in text
