"""ServerLock: that a data folder has one embedded server, whatever is killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

LOCK = "server.lock"


class ServerLock:
    """A lock on a folder, which the kernel holds until everybody who has its file is gone.

    Its keeper has the file, and so has the server, as its input: while the lock is free, neither is
    alive. The file names the process that wanted the server, its owner.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the file can't be opened."""
        self.file: IO[str] = (folder / LOCK).open("a+", encoding="ascii")

    def try_to_take(self, owner: int) -> bool:
        """Whether the folder is ours now, for the process `owner`."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.file.truncate(0)
        self.file.write(str(owner))
        self.file.flush()
        return True

    def living_owner(self) -> int | None:
        """For whom somebody else has the lock; None where that process is dead, or not named yet.

        Then whoever has the lock has no more reason to.
        """
        self.file.seek(0)
        owner = self.file.read()
        return int(owner) if owner.isdigit() and _is_alive(int(owner)) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
