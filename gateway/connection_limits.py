"""What the system allows and does for a gateway's connections."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress

FILES_PER_STREAM = 2
"""The caller's connection, and one to the queue's server."""
_FEW_STREAMS = 1000

log = logging.getLogger("rowmill.gateway")


def raise_file_limit() -> None:
    """As many open files as this process may have; a warning where these are few."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS has a limit below "unlimited"
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY and soft < FILES_PER_STREAM * _FEW_STREAMS:
        log.warning(
            "this process may have %d open files, which is about %d streams at once: "
            "raise its limit (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)",
            soft,
            soft // FILES_PER_STREAM,
        )


def cut_off_after(listener: int, seconds: float) -> None:
    """End connections whose other side takes nothing for so long, of those that a socket, by its
    file descriptor, accepts.

    The system does it, on Linux: also where the other side is gone without a word.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        with socket.socket(fileno=os.dup(listener)) as same:
            same.setsockopt(socket.IPPROTO_TCP, option, int(1000 * seconds))
