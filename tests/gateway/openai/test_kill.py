"""A worker that dies under a stream: its caller does not notice but for the wait."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import openai

from jobs import Client, JobStatus
from tests.gateway.openai.conftest import gateway_on
from tests.integration.conftest import WorkerProcess
from vocab import ByteTokenizer

# Twice the rows that run at once, none of which ends by itself.
ASKED: dict[str, Any] = {
    "model": "demo",
    "prompt": "What is 12 + 30?",
    "n": 16,
    "seed": 5,
    "temperature": 8.0,
    "max_tokens": 120,
    "extra_body": {"ignore_eos": True, "return_token_ids": True},
}


def test_a_stream_goes_on_where_its_worker_was_killed(url: str, queue: str, tmp_path: Path) -> None:
    """Each token comes once, and the job's rows are what was streamed."""
    arguments = ["--max-rows", "8", "--lease", "1.5", "--stream-interval", "0.02"]

    def start(name: str) -> WorkerProcess:
        return WorkerProcess(url, queue, tmp_path / name, arguments)

    first = start("first")
    first.wait_until_ready()
    with (
        gateway_on(url, queue) as gateway,
        openai.OpenAI(base_url=f"{gateway.http}/v1", api_key="none", max_retries=0) as client,
        Client(url, queue) as ours,
    ):
        stream = client.completions.create(**ASKED, stream=True)
        chunks = [next(stream)]
        first.process.kill()
        first.process.wait()
        job_id = chunks[0].id.removeprefix("cmpl-")
        assert ours.status(job_id) is JobStatus.RUNNING
        second = start("second")
        chunks += stream
        rows = ours.result(job_id, timeout=60).rows  # stored a moment after the last token is told
        second.process.kill()
        second.process.wait()
    texts, tokens = defaultdict[int, str](str), defaultdict[int, list[int]](list)
    for chunk in chunks:
        (choice,) = chunk.choices
        texts[choice.index] += choice.text
        tokens[choice.index] += choice.token_ids  # type: ignore[attr-defined]
    assert tokens == {index: [*row.tokens] for index, row in enumerate(rows)}
    assert texts == {index: ByteTokenizer().decode(row.tokens) for index, row in enumerate(rows)}
    assert {len(row.tokens) for row in rows} == {120}
