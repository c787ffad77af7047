"""A receiver, and processes of `rowmill webhooks` between them."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs import Client
from tests.gateway.webhooks.receiver import Receiver, receiver
from tests.waiting import until

SECRET, OLD_SECRET, ACME_SECRET = (
    f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (251, 2, 3)
)
JOB = {"prompt_tokens": [1, 2, 3]}

StartSender = Callable[..., "SenderProcess"]


@pytest.fixture
def client(url: str, queue: str) -> Iterator[Client]:
    with Client(url, queue) as opened:
        yield opened


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as its:
        yield its


@pytest.fixture
def secrets_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.toml"
    path.write_text(
        f'default = ["{SECRET}", "{OLD_SECRET}"]\n[tenants]\nacme = ["{ACME_SECRET}"]\n'
    )
    path.chmod(0o600)
    return path


def end_job(client: Client, url: str, **fields: Any) -> str:
    """A job that has ended, the quick way: nobody ran it."""
    job_id = client.submit(**JOB, webhook_url=url, **fields)
    assert client.cancel(job_id)
    return job_id


def due(connection: redis.Redis, queue: str) -> dict[str, float]:
    """Jobs whose webhook is to be sent, and when."""
    raw: Any = connection.zrange(f"rowmill:webhooks:{queue}", 0, -1, withscores=True)
    return {job_id.decode(): score for job_id, score in raw}


def given_up(connection: redis.Redis, queue: str) -> dict[str, str]:
    """Jobs whose webhook was given up, and why."""
    raw: Any = connection.zrange(f"rowmill:dead-webhooks:{queue}", 0, -1)
    reasons = [connection.hget(f"rowmill:webhook:{job_id.decode()}", "error") for job_id in raw]
    return {key.decode(): (its or b"").decode() for key, its in zip(raw, reasons, strict=True)}


class SenderProcess:
    """`rowmill webhooks` in a process of its own."""

    def __init__(self, url: str, queue: str, secrets: Path, log: Path, arguments: Any) -> None:
        self._log = log
        command = [sys.executable, "-m", "worker.cli", "webhooks", "--redis", url]
        command += ["--queue", queue, "--secrets", str(secrets), *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            return "sending the webhooks" in self.log

        until(is_ready, what="the sender")


@pytest.fixture
def start_sender(url: str, queue: str, secrets_file: Path, tmp_path: Path) -> Iterator[StartSender]:
    """Starts senders to private addresses, and waits until they are there; ends what is left."""
    started: list[SenderProcess] = []

    def start(*arguments: str, private: bool = True) -> SenderProcess:
        log = tmp_path / f"sender-{len(started)}.log"
        given = [*(["--allow-private"] if private else []), *arguments]
        sender = SenderProcess(url, queue, secrets_file, log, given)
        started.append(sender)
        sender.wait_until_ready()
        return sender

    yield start
    for sender in started:
        sender.process.kill()
        sender.process.wait()
        for secret in (SECRET, OLD_SECRET, ACME_SECRET):
            assert secret.removeprefix("whsec_") not in sender.log
