"""`rowmill gateway` as a process: it listens, and ends in order what is open."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from gateway.access.new_key import add_key
from tests.waiting import until

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class GatewayProcess:
    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        command = [sys.executable, "-m", "worker.cli", "gateway", "--port", "0", *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self._listens, what="the gateway to listen")
        self.url = _ADDRESS.findall(self.log)[0]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log
        return _ADDRESS.search(self.log) is not None


Start = Callable[..., GatewayProcess]


@pytest.fixture
def start(url: str, queue: str, tmp_path: Path) -> Iterator[Start]:
    started: list[GatewayProcess] = []

    def start_one(*arguments: str) -> GatewayProcess:
        log = tmp_path / f"gateway-{len(started)}.log"
        started.append(GatewayProcess(log, "--redis", url, "--queue", queue, *arguments))
        return started[-1]

    yield start_one
    for gateway in started:
        gateway.process.kill()
        gateway.process.wait()


@pytest.mark.parametrize(
    ("drain_seconds", "signals"), [("0.2", 1), ("60", 2)], ids=["in its time", "at once"]
)
def test_a_gateway_that_is_told_to_stop_ends_its_streams_with_a_word(
    start: Start, drain_seconds: str, signals: int
) -> None:
    gateway = start("--drain-seconds", drain_seconds)
    (job_id,) = httpx2.post(f"{gateway.url}/v1/jobs", json={"prompt_tokens": [1]}).json()["ids"]
    with httpx2.stream("GET", f"{gateway.url}/v1/jobs/{job_id}/stream", timeout=50) as response:
        for _ in range(signals):
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: "stopping:" in gateway.log, what="it to begin")
        text = response.read().decode()
    assert text.startswith("event: error\n") and '"code":"shutting_down"' in text
    assert gateway.process.wait(30) == 0, gateway.log
    assert "Traceback" not in gateway.log


def test_keys_are_in_no_line_of_the_log(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    key, unknown = add_key(keys, "acme"), f"rk-{uuid4().hex}"
    gateway = start("--keys", str(keys), "--log-level", "debug")
    statuses = [
        httpx2.get(f"{gateway.url}/v1/jobs/a", headers={"Authorization": f"Bearer {its}"})
        for its in (key, unknown)
    ]
    assert [its.status_code for its in statuses] == [404, 401]
    until(lambda: gateway.log.count("GET /v1/jobs/a") == 2, what="the log")
    assert "acme" in gateway.log
    assert key not in gateway.log and unknown not in gateway.log


def test_a_gateway_without_keys_does_not_listen_to_others(start: Start) -> None:
    with pytest.raises(AssertionError, match="open to other machines"):
        start("--host", "0.0.0.0")
