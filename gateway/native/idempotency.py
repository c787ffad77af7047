"""Idempotency: a request that is sent again under its key makes no second jobs."""

from __future__ import annotations

import dataclasses
import hashlib
import re

from gateway.caller import Caller
from gateway.errors import ApiError
from gateway.server import Server

HEADER = "Idempotency-Key"
MAX_KEY = 255
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY}}}")
_SECONDS = 7 * 24 * 3600
"""How long a key is known: no job's failure is kept for longer, unless it is told to."""


def check_key(key: str) -> None:
    """Raises ApiError (400)."""
    if not _KEY.fullmatch(key):
        limit = f"1 to {MAX_KEY} visible ASCII characters"
        raise ApiError(400, f"{HEADER}: it must be {limit}", param=HEADER)


@dataclasses.dataclass(frozen=True, slots=True)
class Keyed:
    """A caller's request under a key. `body`: as it came."""

    caller: Caller
    key: str
    body: bytes

    def job_ids(self, num_jobs: int) -> list[str]:
        """Of the request's jobs: always the same, and of another request never, also where the
        key is forgotten and a job of its is still there."""
        digest = _digest(self._name, self._fingerprint)
        return [f"{digest[:32]}-{index}" for index in range(num_jobs)]

    async def missing(self, server: Server, job_ids: list[str]) -> list[int]:
        """Which of the request's jobs, by their index, are still to be pushed.

        Raises ApiError (422) where the key came with another body before.
        """
        answer = await server.run("remember", self._name, self._fingerprint, _SECONDS, *job_ids)
        known, missing = answer
        if known.decode() != self._fingerprint:
            raise ApiError(
                422,
                f"{HEADER}: this key came with another body before; another request needs a new "
                "one",
                param=HEADER,
                code="idempotency_key_reused",
            )
        return [int(index) for index in missing]

    @property
    def _name(self) -> str:
        return _digest(self.caller.queue, self.caller.tenant or "", self.key)

    @property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def _digest(*parts: str) -> str:
    # None has a zero byte, so no others can come to the same.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
