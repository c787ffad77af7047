"""ServerProcess: a Valkey server on a data folder, reached by a unix socket only."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

LOG = "valkey.log"
_ANSWER_SECONDS = 1.0
_READY_SECONDS = 120.0
"""For reading an append-only file of gigabytes."""
_SETTLED_SECONDS = 1.0
_STOP_SECONDS = 30.0
_MOST_OF_LOG = 2000
_PR_SET_PDEATHSIG = 1


class ServerProcessError(Exception):
    """A server did not start, or did not stop."""


class ServerProcess:
    """One process, started by the constructor. Every change goes to an append-only file."""

    def __init__(self, binary: str, path: Path, lock: IO[str]) -> None:
        """`path`: of its socket, in the data folder. Raises OSError where it can't be started."""
        path.unlink(missing_ok=True)  # the lock is ours: it is left from one that was killed
        self._path = path
        self._log = path.parent / LOG
        with self._log.open("ab") as log:
            self._log_offset = log.tell()
            self._process = subprocess.Popen(
                [binary, *_options(path)],
                stdin=lock,
                stdout=log,
                stderr=log,
                cwd=path.parent,
                preexec_fn=functools.partial(_end_with, os.getpid()),
            )
        self._started_at = time.monotonic()
        self._ready_at: float | None = None
        self._lasted = 0.0

    @property
    def has_settled(self) -> bool:
        """Whether it has served for a while, or did so before it died."""
        return self._lasted > _SETTLED_SECONDS

    def check(self) -> None:
        """Raises ServerProcessError, with how it died, where it is dead."""
        code = self._process.poll()
        if code is not None:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise ServerProcessError(f"it ended {how}{self._last_words() if code > 0 else ''}")
        if self._ready_at is not None:
            self._lasted = time.monotonic() - self._ready_at

    def is_ready(self) -> bool:
        """Whether it answers. Raises ServerProcessError where it is dead, or takes too long."""
        self.check()
        answer = ask(self._path, "PING")
        if answer and not answer.startswith("-LOADING"):
            self._ready_at = time.monotonic()
            return True
        if time.monotonic() > self._started_at + _READY_SECONDS:
            raise ServerProcessError(f"it was not ready within {_READY_SECONDS:g} s")
        return False

    def stop(self) -> None:
        """End it, if it is not dead. All that it has acknowledged is in its file then."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        """What it logged last, without the time."""
        with self._log.open("rb") as log:
            log.seek(max(self._log_offset, log.seek(0, os.SEEK_END) - _MOST_OF_LOG))
            words = log.read().decode(errors="replace").strip()
        return ": " + words.rpartition("\n")[2].rpartition(" # ")[2]


def shut_down(path: Path) -> None:
    """Ask a server that is nobody's child to end, as SIGTERM would.

    Nothing where none is there. Raises ServerProcessError where it refuses, as one does that wants
    a password.
    """
    answer = ask(path, "SHUTDOWN")
    if answer and answer.startswith("-") and not answer.startswith("-LOADING"):
        raise ServerProcessError(f"a server that nobody keeps does not stop: {answer[1:].strip()}")


def ask(path: Path, command: str) -> str | None:
    """What the server on a socket answers; empty where it hangs up, None where it does not."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(256).decode(errors="replace")
    return None


def _end_with(parent: int) -> None:
    """Before this process becomes another: let it get SIGTERM when its parent dies.

    Only Linux can. Without it a server whose keeper was killed stays until somebody ends it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def _options(path: Path) -> list[str]:
    return [
        *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(path.parent), "--save", "", "--appendonly", "yes"),
        *("--appendfsync", "everysec", "--loglevel", "warning", "--daemonize", "no"),
    ]
