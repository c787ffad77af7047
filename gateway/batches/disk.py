"""A disk without room, as callers are told of it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from gateway.errors import ApiError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRY_SECONDS = 60


@contextlib.contextmanager
def told_of_full_disk() -> Iterator[None]:
    """Raises ApiError (507) instead of the system's error."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        message = "the gateway's disk has no room for this"
        raise ApiError(
            507, message, kind="server_error", code="no_room", retry_after=_RETRY_SECONDS
        ) from error
