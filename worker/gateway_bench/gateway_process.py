"""GatewayProcess: the gateway as a person starts it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.errors import BenchError
from worker.gateway_bench.http_call import HttpCaller

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class GatewayProcess:
    """Ready, and idle."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._process = process

    @property
    def resident_bytes(self) -> int:
        return int(psutil.Process(self._process.pid).memory_info().rss)

    @property
    def cpu_seconds(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def gateway_process(url: str, queue: str, log: Path) -> Iterator[GatewayProcess]:
    """Runs `rowmill gateway` for the shipped model. Raises BenchError where it does not start."""
    port = _free_port()
    command = [sys.executable, "-m", "worker.cli", "gateway", "--redis", url, "--queue", queue]
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--model-name", "demo"],
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,
        )
    try:
        _wait(port, process, log)
        yield GatewayProcess(port, process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    caller = HttpCaller(port)
    while caller.get("/healthz") != 200:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise BenchError(f"the gateway did not start: {log.read_text()[-500:]}")
        time.sleep(_LOOK_SECONDS)
    caller.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
