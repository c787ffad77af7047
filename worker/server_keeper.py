"""The process that keeps an embedded server: `python -m worker.server_keeper`.

It starts the server again when it dies, and ends it when its owner, the process that wanted it, is
done or dead. It is no thread of the owner's, as SIGKILL would take that along. It tells the owner
what happens, in lines of JSON on its output, each an object of one text:

ready   the server answers
died    how it did; it is started again
failed  why there is no server, or none any more; then the keeper ends
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from worker.server_lock import ServerLock
from worker.server_process import ServerProcess, ServerProcessError, ask, shut_down

_CHECK_SECONDS = 0.1
_ORPHAN_SECONDS = 30.0
_RETRY_SECONDS = 0.2
_MOST_FAILURES = 5
"""In a row, of a server that dies before it has settled: it would do so again."""


class ServerKeeper:
    """Ends when it gets a line, when its input ends, or when its parent is not `owner` any more."""

    def __init__(self, binary: str, path: Path, owner: int, *, is_heir: bool) -> None:
        """`path`: of the socket, in the data folder. `is_heir`: the owner's keeper of before was
        killed, and its server is to end. Raises OSError for a folder without access."""
        self._binary = binary
        self._path = path
        self._owner = owner
        self._is_heir = is_heir
        self._lock = ServerLock(path.parent)
        self._has_served = False

    def run(self) -> None:
        """Until it is over. Raises ServerProcessError or OSError where there can be no server."""
        is_over = not self._take_the_folder()
        num_failures = 0
        while not is_over:
            server = ServerProcess(self._binary, self._path, self._lock.file)
            try:
                is_over = self._serve(server)
            except ServerProcessError as error:
                num_failures = 0 if server.has_settled else num_failures + 1
                if not self._has_served or num_failures == _MOST_FAILURES:
                    raise
                _tell("died", str(error))
                is_over = self._is_over(_RETRY_SECONDS)
            finally:
                server.stop()

    def _take_the_folder(self) -> bool:
        """False where it is over before that. What a dead owner has left there is shut down."""
        give_up_at = time.monotonic() + _ORPHAN_SECONDS
        while not self._lock.try_to_take(self._owner):
            owner = self._lock.living_owner()
            if owner and not (self._is_heir and owner == self._owner):
                url = f"unix://{self._path}"
                raise ServerProcessError(
                    f"process {owner} runs one there already: use it with --redis {url}, or stop "
                    "that process"
                )
            if time.monotonic() > give_up_at:
                raise ServerProcessError("the one of a process that is dead does not end")
            shut_down(self._path)
            if self._is_over(_CHECK_SECONDS):
                return False
        if ask(self._path, "PING") is not None:
            raise ServerProcessError(f"another server answers at {self._path} already")
        return True

    def _serve(self, server: ServerProcess) -> bool:
        """For the life of one server; True when it is over, ServerProcessError where it dies."""
        while not server.is_ready():
            if self._is_over(_CHECK_SECONDS / 5):
                return True
        self._has_served = True
        _tell("ready", "")
        while not self._is_over(_CHECK_SECONDS):
            server.check()
        return True

    def _is_over(self, seconds: float) -> bool:
        """Waits so long for it."""
        has_input = bool(select.select([sys.stdin], [], [], seconds)[0])
        return has_input or os.getppid() != self._owner


def _tell(kind: str, text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner is dead, which ends us soon
        print(json.dumps({kind: text}), flush=True)


def main() -> None:
    """Arguments: the server's program, its socket, the owner, `temporary` for a folder that goes
    with it, and `heir` where another keeper was killed."""
    binary, socket_path, owner, *more = sys.argv[1:]
    path = Path(socket_path)
    # The server inherits the mask, but not this way with SIGTERM. Whoever ends all processes of a
    # service at once still needs it, until the last outcome is stored: it is started again.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        ServerKeeper(binary, path, int(owner), is_heir="heir" in more).run()
    except (ServerProcessError, OSError) as error:
        _tell("failed", str(error))
    finally:
        if "temporary" in more:
            shutil.rmtree(path.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
