"""`rowmill bench queue`, with a handful of jobs, and its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from engine import Request
from worker.cli import app
from worker.queue_bench.free_engine import FreeEngine
from worker.queue_bench.leftovers import forget
from worker.queue_bench.payload import NUM_TOKENS
from worker.queue_bench.rowmill_system import RowmillSystem
from worker.queue_bench.server_counts import ServerCounts
from worker.queue_bench.throughput import RQ, batch_name

ROOT = Path(__file__).parent.parent.parent


def test_the_command_measures_every_part_and_leaves_nothing_on_the_server(
    url: str, connection: redis.Redis, tmp_path: Path
) -> None:
    figures = tmp_path / "queue.json"
    command = [sys.executable, "-m", "worker.cli", "bench", "queue", "--quick", "--redis", url]
    result = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert result.returncode == 0, result.stderr
    data = json.loads(figures.read_text())
    ours = batch_name(8)
    systems = {ours, batch_name(1), RQ}
    throughput = data["throughput"]
    assert throughput["jobs_per_second"].keys() == throughput["per_job"].keys() == systems
    speeds = throughput["jobs_per_second"]
    assert throughput["ratio"] == speeds[ours]["worked"] / speeds[RQ]["worked"]
    assert throughput["whole_path"].keys() == data["latency_ms"].keys() == {ours, RQ}
    for phases in throughput["per_job"].values():
        assert phases.keys() == {"push", "work", "reading"}
        assert all(count > 0 for counts in phases.values() for count in counts.values())
    sizes = [(claim["num_queued"], claim["num_tenants"]) for claim in data["claims"]]
    assert sizes == [(8, 0), (16, 0), (8, 2), (16, 2)]
    assert f"times {RQ}" in result.stdout
    # RQ lets the records of workers that have ended expire.
    left = {key for key in connection.keys("*") if connection.ttl(key) == -1}
    assert not left


def test_the_first_step_of_the_free_engine_finishes_every_row() -> None:
    engine = FreeEngine(max_rows=8)
    assert not engine.has_work
    engine.submit(Request(id="a", prompt_tokens=[1], num_samples=3))
    engine.submit(Request(id="b", prompt_tokens=[2]))
    engine.submit(Request(id="c", prompt_tokens=[3]))
    engine.cancel("c")
    assert engine.has_work and engine.num_busy_rows == 4
    results = {result.request_id: result.rows for result in engine.step()}
    assert {its: len(rows) for its, rows in results.items()} == {"a": 3, "b": 1}
    assert all(len(row.tokens) == NUM_TOKENS for rows in results.values() for row in rows)
    assert not engine.has_work and engine.num_busy_rows == 0


def test_a_difference_of_counts_is_what_came_between(connection: redis.Redis) -> None:
    before = ServerCounts.of(connection)
    for _ in range(10):
        connection.ping()
    counts = ServerCounts.of(connection) - before
    assert counts.commands >= 10 and counts.reads >= 10  # and the looks themselves
    assert counts.per(2).commands == counts.commands / 2


def test_a_queue_is_forgotten_with_its_jobs(url: str, connection: redis.Redis) -> None:
    system = RowmillSystem(url, "bench")
    job_ids = [system.submit(), *system.submit_many(3)]
    forget(connection, "bench", job_ids)
    assert not connection.keys("*")


@pytest.mark.parametrize(
    ("words", "reason", "exit_code"),
    [
        (["--repeats", "3", "queue"], "--repeats: goes after 'queue'", 2),
        (["queue", "--json", "/nowhere/queue.json"], "No such file", 2),
        (["queue", "--redis", "redis://someone:secret@127.0.0.1:1/0"], "127.0.0.1:1", 3),
    ],
)
def test_what_can_not_run_is_refused_with_a_reason(
    words: list[str], reason: str, exit_code: int
) -> None:
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == exit_code
    assert reason in result.stderr
    assert "secret" not in result.stderr
