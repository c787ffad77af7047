"""A part of a bench in a process of its own, which says what it counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bench.errors import BenchError

_STOP_SECONDS = 60.0


class BenchProcess:
    """Runs `python -m MODULE JSON`, which calls `serve` below. Leaving the context ends it."""

    def __init__(self, module: str, **settings: Any) -> None:
        self._module = module
        command = [sys.executable, "-m", module, json.dumps(settings)]
        # A session of its own, as workers have: Linux shares a busy machine out by sessions.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> BenchProcess:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":  # imports are not measured
            self._end()
            raise BenchError(f"{self._module} did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def go(self) -> None:
        """Let it work."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait(self) -> dict[str, Any]:
        """What it found, once it has come to its end."""
        output, _ = self._process.communicate(timeout=600)
        if self._process.returncode != 0:
            raise BenchError(f"{self._module} ended with {self._process.returncode}")
        found: dict[str, Any] = json.loads(output)
        return found

    def stop(self) -> dict[str, Any]:
        """What it found so far; it ends."""
        self._process.terminate()
        return self.wait()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def serve(work: Callable[[], dict[str, Any]]) -> None:
    """The other side: waits for `go`, works, and prints what it found."""
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(work()), flush=True)
