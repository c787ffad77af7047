"""`rowmill gateway` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.waiting import until

StartGateway = Callable[..., "GatewayProcess"]

_ADDRESS = re.compile(r"running on (http://\S+)")


class GatewayProcess:
    """Listens when it is made. `limits`: what a shell's `ulimit` is told before."""

    def __init__(
        self, url: str, queue: str, log: Path, arguments: Sequence[str] = (), limits: str = ""
    ) -> None:
        self._log = log
        command = [sys.executable, "-m", "worker.cli", "gateway", "--model", "demo"]
        command += ["--redis", url, "--queue", queue, "--port", "0", *arguments]
        if limits:
            command = ["sh", "-c", f'ulimit {limits} && exec "$@"', "sh", *command]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self._is_listening, what="the gateway to listen")
        found = _ADDRESS.search(self.log)
        assert found is not None
        self.http: str = found[1]
        self.port = int(self.http.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def num_callers(self) -> int:
        """Connections that it has accepted."""
        theirs = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(its.status != psutil.CONN_LISTEN for its in theirs)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def _is_listening(self) -> bool:
        assert self.process.poll() is None, self.log
        return _ADDRESS.search(self.log) is not None
