"""Whatever of `rowmill sample` is killed, the same command ends with the bytes of a quiet run.

The second test is as long as asked for: `--sample-prompts`, `--sample-rows`, `--sample-seed`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.chaos.sample_command import SampleCommand
from tests.integration.chaos.sample_storm import SamplePlan, SampleStorm, fleet, write_prompts
from tests.integration.conftest import StartWorker
from tests.integration.killed.out_folder import check_finished, failures, parts
from tests.waiting import until

Start = Callable[..., SampleCommand]
NUM_PROMPTS = 60
COMMON = ("--model", "demo", "--chat", "--max-tokens", "64", "--text")


@pytest.fixture
def start(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Start]:
    """Starts the command on a folder; at the end, nothing of any is left."""
    plan = SamplePlan.from_options(pytestconfig)
    inputs = write_prompts(tmp_path / "prompts.jsonl", plan.num_prompts or NUM_PROMPTS, plan.seed)
    started: list[SampleCommand] = []

    def run(name: str, *arguments: str) -> SampleCommand:
        log = tmp_path / f"{name}.log"
        command = SampleCommand(inputs, tmp_path / name, log, *COMMON, *arguments)
        started.append(command)
        return command

    yield run
    for command in started:
        command.end()


def sha256(folder: Path) -> str:
    """Of all parts, in their order."""
    return hashlib.sha256(b"".join(parts(folder).values())).hexdigest()


def num_bytes(folder: Path) -> int:
    """Of results of parts that are not whole yet."""
    return sum(file.stat().st_size for file in folder.glob(".rowmill/*.journal"))


def test_a_killed_run_and_a_killed_extension_go_on_to_the_bytes_of_quiet_runs(
    start: Start, start_worker: StartWorker, url: str, queue: str, tmp_path: Path
) -> None:
    few = ("--num-samples", "4", "--inputs-per-part", "20")
    more = ("--num-samples", "8", "--inputs-per-part", "20", "--extend")
    torn = tmp_path / "torn"

    command = start("torn", *few, *fleet(2, 8))
    until(lambda: num_bytes(torn), what="the first results")
    command.workers()[0].kill()
    (server,) = command.servers()
    server.kill()
    until(lambda: set(command.servers()) - {server}, what="the next server")
    command.keepers()[0].kill()
    size = num_bytes(torn)
    until(lambda: parts(torn) or num_bytes(torn) > size, what="results from the next server")
    command.kill()
    assert command.exit_code == -9
    assert start("torn", *few, *fleet(1, 64)).wait() == 0
    sha_of_few = sha256(torn)

    command = start("torn", *more, *fleet(1, 64))
    first = torn / "part-000000.parquet"
    old = first.stat().st_ino
    until(lambda: first.stat().st_ino != old, what="a part to be replaced")
    command.kill()
    assert start("torn", *more, *fleet(1, 8)).wait() == 0
    sha_of_more = sha256(torn)
    check_finished(torn, 8)

    start_worker("--max-rows", "64")
    for name, arguments in (("few", few), ("more", more)):
        assert start(name, *arguments, "--redis", url, "--queue", queue).wait() == 0
        assert failures(tmp_path / name) == {}
    assert sha_of_few == sha256(tmp_path / "few")
    assert sha_of_more == sha256(tmp_path / "more")


@pytest.mark.timeout(0)  # as long as asked for
def test_a_storm_changes_no_byte(start: Start, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    plan = SamplePlan.from_options(pytestconfig)
    if not plan.num_prompts:
        pytest.skip("only with --sample-prompts, as by make storm: it takes minutes")
    arguments = ("--num-samples", str(plan.num_samples), "--inputs-per-part", "100")
    started = time.monotonic()
    assert start("quiet", *arguments).wait() == 0
    quiet_seconds = time.monotonic() - started

    storm = SampleStorm(plan, lambda *more: start("torn", *arguments, *more))
    started = time.monotonic()
    storm.run()
    num_failed = len(failures(tmp_path / "torn"))
    if num_failed:  # three times with their worker
        storm.run("--retry-failures")
    figures = {
        "prompts, rows of each": (plan.num_prompts, plan.num_samples),
        "killed, and starts": dict(sorted(storm.counts.items())),
        "inputs that failed, and were retried": num_failed,
        "seconds, of a quiet run": (round(time.monotonic() - started), round(quiet_seconds)),
        "sha256": sha256(tmp_path / "torn"),
        "sha256 of a quiet run": sha256(tmp_path / "quiet"),
    }
    print(*(f"{name:38}{value}" for name, value in figures.items()), sep="\n")
    check_finished(tmp_path / "torn", plan.num_samples)
    assert sha256(tmp_path / "torn") == sha256(tmp_path / "quiet")
    assert storm.counts["samplers"]
    assert storm.counts["workers"]
    assert storm.counts["servers"]
