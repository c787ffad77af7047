"""However a row is asked for, and wherever it is made: by the bit, it is the same row."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engine import RowResult
from engine.models import load_model
from jobs import Client, GenerateJob
from jobs.sampled_rows import Row
from tests.engine.models import random_model
from tests.engine.runs import new_engine, prompt_of, request, run_all
from tests.engine.streams import columns_of
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import question
from worker.translate import to_request

# So hot that rows differ, and not so hot that none calls the calculator.
JOBS = [
    question(f"What is {n} * {n + 9}?", num_samples=n, temperature=3.0, max_tokens=60, seed=n)
    for n in (3, 5, 8)
]

Plain = list[list[Any]]


def plain(rows: Iterable[RowResult | Row]) -> Plain:
    return [[list(row.tokens), list(row.masks), row.finish_reason] for row in rows]


def demo_rows(max_rows: int) -> list[Plain]:
    """The jobs' rows, from `Engine.submit`."""
    model, tokenizer = load_model("demo")
    requests = [to_request(job, str(job.seed)) for job in JOBS]
    rows = run_all(model, requests, tokenizer, max_rows=max_rows)
    return [plain(rows[str(job.seed)]) for job in JOBS]


def chaotic_rows() -> list[Plain]:
    """Of a model that is wide enough for threads to share its products."""
    model = random_model(4, 2, 32, 2, 1003, is_chaotic=True)
    mix = [request(str(n), prompt_of(n, n), 5, max_tokens=12) for n in (1, 64, 150)]
    return [plain(rows) for _, rows in sorted(run_all(model, mix).items())]


@pytest.fixture(scope="module")
def rows_alone() -> list[Plain]:
    """The jobs' rows where nothing shares the batch."""
    expected = demo_rows(max_rows=1)
    rows = [row for its in expected for row in its]
    assert len({str(row) for row in rows}) == len(rows), "rows are meant to differ"
    assert any(0 in masks for _, masks, _ in rows), "some are meant to call the calculator"
    return expected


def test_rows_are_the_same_by_generate_as_by_submit(rows_alone: list[Plain]) -> None:
    model, tokenizer = load_model("demo")
    engine = new_engine(model, tokenizer)
    streams = [engine.generate(**generate_fields(job)) for job in JOBS]
    for stream, job, expected in zip(streams, JOBS, rows_alone, strict=True):
        rows = [RowResult(*row) for row in expected]
        assert list(stream) == columns_of(rows, job.prompt_tokens)
    assert demo_rows(max_rows=64) == rows_alone


def generate_fields(job: GenerateJob) -> dict[str, Any]:
    """The keyword arguments of `Engine.generate`."""
    names = ("num_samples", "max_tokens", "temperature", "top_k", "seed")
    return {"tokens": list(job.prompt_tokens), **{name: getattr(job, name) for name in names}}


PROGRAM = """
import json, sys
import engine, torch
torch.set_num_threads(int(sys.argv[1]))
from tests.integration.test_same_rows_everywhere import chaotic_rows, demo_rows
json.dump([demo_rows(max_rows=64), chaotic_rows()], sys.stdout)
"""


@pytest.mark.parametrize("num_threads", [1, 2])
def test_rows_are_the_same_in_another_process_at_any_number_of_threads(
    rows_alone: list[Plain], num_threads: int
) -> None:
    """In processes of their own, as the number also changes what has been set up before."""
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(num_threads)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(output) == [rows_alone, chaotic_rows()]


def test_rows_are_the_same_through_the_queue_and_from_a_worker_that_was_started_again(
    client: Client, start_worker: StartWorker, rows_alone: list[Plain]
) -> None:
    for arguments in (["--threads", "1"], ["--threads", "2"], ["--max-rows", "2"]):
        worker = start_worker(*arguments)
        job_ids = client.submit_many(JOBS)
        outcomes = dict(client.results(job_ids, timeout=60))
        assert [plain(outcomes[job_id].rows) for job_id in job_ids] == rows_alone
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0, worker.log
