"""From a job that names a webhook to the service that hears of its end, by real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue

from jobs import FUNCTION_NAME, Client, MsgpackSerializer
from tests.gateway.webhooks.conftest import SECRET, SenderProcess, due
from tests.gateway.webhooks.receiver import Receiver, is_signed, receiver
from tests.integration.conftest import StartWorker, reason_of
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as its:
        yield its


@pytest.fixture
def sender(url: str, queue: str, tmp_path: Path) -> Iterator[SenderProcess]:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'default = ["{SECRET}"]')
    secrets.chmod(0o600)
    sender = SenderProcess(url, queue, secrets, tmp_path / "sender.log", ["--allow-private"])
    yield sender
    sender.process.terminate()
    assert sender.process.wait(60) == 0, sender.log


def submitted(url: str, queue: str, *arguments: str) -> str:
    """The ID of a job that `rowmill submit` pushes."""
    command = [sys.executable, "-m", "worker.cli", "submit", "--redis", url, "--queue", queue]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_a_service_hears_of_each_end_and_finds_what_it_was_told(
    url: str, queue: str, client: Client, connection: redis.Redis, service: Receiver,
    sender: SenderProcess, start_worker: StartWorker,
) -> None:  # fmt: skip
    hook = service.url()
    worker = start_worker("--lease", "1")
    done = submitted(
        url, queue, "--prompt-tokens", "1,2", "--num-samples", "3", "--max-tokens", "4",
        "--tenant", "acme", "--webhook-url", hook,
    )  # fmt: skip
    bad = client.submit(prompt_tokens=[10**6], webhook_url=hook)
    silent = client.submit(question(max_tokens=2))
    ended = {job_id: service.wait_for(job_id)[0] for job_id in (done, bad)}

    told = {job_id: post.told["data"] for job_id, post in ended.items()}
    assert all(is_signed(post, SECRET) for post in ended.values())
    rows = client.result(done, timeout=0).rows
    assert (told[done]["status"], told[done]["tenant"]) == ("finished", "acme")
    assert told[done]["num_rows"] == len(rows) == 3
    assert (told[bad]["status"], told[bad]["num_rows"]) == ("failed", None)
    assert told[bad]["error"] == reason_of(bad, connection)

    (lasting,) = long_jobs(1, webhook_url=hook)
    with Client(url, queue, max_attempts=1) as once:
        abandoned = once.submit(lasting)
    until(lambda: client.status(abandoned).value == "running", what="it to run")
    worker.process.kill()
    start_worker("--lease", "1")
    (post,) = service.wait_for(abandoned)
    assert post.told["data"]["error"] == reason_of(abandoned, connection)
    client.result(silent, timeout=60)
    until(lambda: not due(connection, queue), what="the marks to go")
    assert not service.of(silent)


def test_a_webhook_that_the_server_was_not_told_of_fails_its_job(
    queue: str, connection: redis.Redis, start_worker: StartWorker
) -> None:
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    fields = question(webhook_url="https://example.com").fields()
    job = rq_queue.enqueue(FUNCTION_NAME, kwargs=fields)
    start_worker()
    until(lambda: job.is_failed, what="it to fail")
    assert "webhook_url: a URL from plain RQ is not allowed" in reason_of(job.id, connection)
