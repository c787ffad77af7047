"""Patience: a server that has gone away is waited for."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from jobs.errors import LoginRefusedError, PermissionDeniedError, ServerUnavailableError

_log = logging.getLogger("rowmill.dataset")
_PATIENCE_SECONDS = 600.0
_WAIT_SECONDS = 0.5


class Patience:
    """Within this context, a ServerUnavailableError is passed over, after a short wait.

    Not where the server refuses us, and not for longer than `seconds` on end. What comes to its end
    here counts as an answer, so it has to ask the server something.
    """

    def __init__(self, seconds: float = _PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._lost_at: float | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            self._answered()
            return False
        return isinstance(error, ServerUnavailableError) and self._waits(error)

    def _answered(self) -> None:
        if self._lost_at is not None:
            _log.warning("the server answers again")
        self._lost_at = None

    def _waits(self, error: ServerUnavailableError) -> bool:
        if isinstance(error, LoginRefusedError | PermissionDeniedError):
            return False
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            _log.warning("%s; waiting for it", error)
        if now - self._lost_at > self._seconds:
            return False
        time.sleep(_WAIT_SECONDS)
        return True
