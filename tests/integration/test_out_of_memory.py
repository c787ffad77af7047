"""A worker whose memory ends before its KV budget does finishes every job that fits alone."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import psutil
import pytest
import torch

from engine.models import load_model
from jobs import Client, GenerateJob, JobFailedError
from tests.engine.models import random_model
from tests.engine.runs import prompt_of, run_all
from tests.integration.conftest import StartWorker
from worker.translate import to_request

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits the memory of another process"
)

MEBIBYTE = 2**20
ROOM = 192 * MEBIBYTE
"""Beyond what an idle worker takes. A token's keys and values take 32 KiB, so that one row fits
many times, and all the small jobs at once don't."""


@pytest.fixture(scope="module")
def deep_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with small weights and much to cache."""
    model = random_model(2, 2, 32, 64, 70, sequence_len=16_384)
    folder = tmp_path_factory.mktemp("deep")
    torch.save(model.state_dict(), folder / "model_000001.pt")
    meta = {"model_config": dataclasses.asdict(model.config)}
    (folder / "meta_000001.json").write_text(json.dumps(meta))
    return folder


def job(seed: int, prompt_length: int, **fields: int) -> GenerateJob:
    return GenerateJob.parse(
        {"prompt_tokens": prompt_of(prompt_length, seed), "seed": seed, **fields}
    )


def tokens_without_a_queue(model: Path, jobs: dict[str, GenerateJob]) -> dict[str, list[list[int]]]:
    requests = [to_request(each, job_id) for job_id, each in jobs.items()]
    results = run_all(load_model(model)[0], requests)
    return {job_id: [row.tokens for row in rows] for job_id, rows in results.items()}


def test_only_the_job_that_does_not_fit_alone_fails(
    client: Client, start_worker: StartWorker, deep_model: Path
) -> None:
    resource = pytest.importorskip("resource")
    worker = start_worker("--model", str(deep_model), "--kv-budget-tokens", "100000000")
    client.result(client.submit(job(0, 20, max_tokens=4)), timeout=60)  # all its parts are there
    taken = psutil.Process(worker.process.pid).memory_info().vms
    resource.prlimit(worker.process.pid, resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))

    small = [job(seed, 20 + seed, num_samples=4, max_tokens=70) for seed in range(20)]
    large = job(99, 16_000, max_tokens=8)
    before = client.submit_many(small[:10])
    too_large = client.submit(large)
    after = client.submit_many(small[10:])

    with pytest.raises(JobFailedError, match=r"16000 prompt tokens .* enough for a prompt of"):
        client.result(too_large, timeout=100)
    outcomes = dict(client.results([*before, *after], timeout=100))
    jobs = dict(zip([*before, *after], small, strict=True))
    tokens = {
        job_id: [list(row.tokens) for row in outcomes[job_id].rows]  # type: ignore[union-attr]
        for job_id in jobs
    }
    assert tokens == tokens_without_a_queue(deep_model, jobs)
    assert "out of memory with" in worker.log, "the limit is meant to be felt by the small ones"
    assert worker.process.poll() is None
