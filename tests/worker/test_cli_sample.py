"""`rowmill sample` as a person meets it: what it says, its exit code, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.integration.killed.quick_worker import QuickWorker
from tests.jobs.dataset.files import write_lines, write_records
from worker.cli import app

Sample = Callable[..., Result]
TOKENS = [{"id": f"i{n}", "prompt_tokens": [n + 1, 2]} for n in range(6)]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """Runs the command with a folder for the rows."""

    def run(source: Path, *arguments: str) -> Result:
        words = ["sample", str(source), "--out", str(tmp_path / "out"), *arguments]
        return CliRunner().invoke(app, words)

    return run


@pytest.fixture
def served(sample: Sample, url: str, queue: str) -> Sample:
    """Runs the command on a queue whose worker needs no engine, and fails prompts that begin
    with 5."""

    def run(source: Path, *arguments: str) -> Result:
        with QuickWorker(url, queue) as worker:
            worker.refused = frozenset({5})
            return sample(source, "--redis", url, "--queue", queue, *arguments)

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "demo", "--in-flight", "0"), "--in-flight"),
        (("--model", "demo", "--fail-on-error", "maybe"), "fail_on_error: 'maybe'"),
        (("--model", "demo", "--queue", "a b"), "queue: 'a b'"),
        (("--model", "demo", "--seed", "-1"), "seed: -1 is not allowed; it must be an integer"),
        (("--model", "demo", "--limit", "0"), "limit: 0 is not allowed; it must be None or an"),
        (("--model", "demo", "--shard", "9/3"), "shard: '9/3'"),
        (("--model", "demo", "--overwrite", "--extend"), "overwrite: true"),
        (("--redis", "nonsense"), "url: this URL"),
        (("--redis", "redis://localhost:1", "--workers", "2"), "--workers is for workers of"),
        (("--redis", "redis://localhost:1", "--text"), "text: text without a tokenizer"),
        ((), "give --model, or --redis"),
    ],
)
def test_a_bad_option_is_named_before_a_folder_is_made(
    sample: Sample, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = sample(write_records(tmp_path / "a.jsonl", TOKENS), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_dead_server_is_an_exit_code_of_its_own_and_the_folder_can_go_on(
    sample: Sample, served: Sample, tmp_path: Path
) -> None:
    source = write_records(tmp_path / "a.jsonl", TOKENS)
    result = sample(source, "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 3
    error, how = result.stderr.splitlines()
    assert "127.0.0.1:1 is not available" in error
    assert "0 of 6 inputs are done and kept; the same command goes on" in how
    assert served(source).exit_code == 0


def test_a_dry_run_counts_and_shows_and_samples_nothing(sample: Sample, tmp_path: Path) -> None:
    good = json.dumps({"id": "q", "prompt": "What is 1 + 2?", "num_samples": 3}).encode()
    source = write_lines(tmp_path / "a.jsonl", [b"{", good, b'{"prompt": 7}'])
    result = sample(source, "--model", "demo", "--chat", "--dry-run", "--shard", "1/2")
    assert result.exit_code == 0
    shown = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert shown["inputs"] == "3, of which 1 are selected"
    assert "bad lines  2, the first: a.jsonl line 1: is not JSON" in result.stdout
    assert shown["rows"] == "3 of all inputs"
    assert shown["first"].startswith("a.jsonl line 2, id q, seed ")
    assert "What is 1 + 2?" in shown["text"]
    assert not (tmp_path / "out").exists()


def test_failures_are_counted_and_it_is_said_where_they_are(served: Sample, tmp_path: Path) -> None:
    source = write_records(tmp_path / "a.jsonl", [*TOKENS, {"prompt": 7}])
    result = served(source)
    assert result.exit_code == 0
    *_, totals, where = result.stdout.splitlines()
    assert totals.endswith("2 failed")
    assert "5 rows of 7 inputs" in totals
    assert where.startswith("failures.jsonl there has the reasons")


def test_failures_that_are_too_many_stay_too_many_when_the_command_comes_again(
    served: Sample, tmp_path: Path
) -> None:
    source = write_records(tmp_path / "a.jsonl", [*TOKENS, {"prompt": 7}])
    first = served(source, "--fail-on-error", "true")
    assert first.exit_code == 1
    assert "a.jsonl line 7: prompt: 7 is not allowed" in first.stderr
    assert served(source, "--fail-on-error", "true").exit_code == 1
    result = served(source, "--fail-on-error", "true")  # with nothing left to do
    assert result.exit_code == 1
    assert result.stderr == "rowmill: 2 of 7 inputs failed, which is too many\n"
    assert served(source, "--fail-on-error", "0.5").exit_code == 0
