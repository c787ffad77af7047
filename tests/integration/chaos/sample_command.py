"""`rowmill sample` in a process of its own, and the processes that it starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.waiting import until


class SampleCommand:
    """Started by the constructor. What it prints is added to `log`."""

    def __init__(self, inputs: Path, out: Path, log: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "worker.cli", "sample", str(inputs), "--out", str(out)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, *arguments], stdout=output, stderr=subprocess.STDOUT
            )
        self._log = log
        self._seen: dict[int, psutil.Process] = {}

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def workers(self) -> list[psutil.Process]:
        return self._those(lambda words: "--stop-with-parent" in words)

    def keepers(self) -> list[psutil.Process]:
        return self._those(lambda words: "worker.server_keeper" in words)

    def servers(self) -> list[psutil.Process]:
        return self._those(lambda words: "valkey-server" in words[0])

    def kill(self) -> None:
        """SIGKILL to the command alone; what it started is to end by itself."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Kill it if it runs, and wait until all that it started has ended by itself."""
        self.kill()
        until(lambda: not self._living(), what="the workers and the server to end")

    def wait(self) -> int:
        return self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _those(self, are_meant: Callable[[list[str]], bool]) -> list[psutil.Process]:
        found = ((process, _words(process)) for process in self._living())
        return [process for process, words in found if words and are_meant(words)]

    def _living(self) -> list[psutil.Process]:
        """All that it started and that has not ended."""
        try:
            its = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            its = []
        self._seen |= {process.pid: process for process in its if _words(process)}
        self._seen = {pid: it for pid, it in self._seen.items() if _is_alive(it)}
        return list(self._seen.values())


def _words(process: psutil.Process) -> list[str]:
    """Its command line; empty where it is gone, or not yet what it will be."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return []
    return [] if "sample" in words else words


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
