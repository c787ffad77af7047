"""Idempotency: a request that is sent again under its key makes no second jobs."""

from __future__ import annotations

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


def ids_of(caller: Caller, key: str, num_jobs: int) -> list[str]:
    """The IDs of the jobs of a tenant's request under this key: always the same."""
    digest = _digest(caller, key)
    return [f"{digest[:32]}-{index}" for index in range(num_jobs)]


async def missing_jobs(
    server: Server, caller: Caller, key: str, body: bytes, job_ids: list[str]
) -> list[int]:
    """Which of the request's jobs, by their index, are still to be pushed.

    Raises ApiError (422) where the key came with another body before.
    """
    fingerprint = hashlib.sha256(body).hexdigest()
    name = _digest(caller, key)
    known, missing = await server.run("remember", name, fingerprint, _SECONDS, *job_ids)
    if known.decode() != fingerprint:
        raise ApiError(
            422,
            f"{HEADER}: this key came with another body before; another request needs a new one",
            param=HEADER,
            code="idempotency_key_reused",
        )
    return [int(index) for index in missing]


def _digest(caller: Caller, key: str) -> str:
    # No name has a zero byte, so no two callers can come to the same.
    text = "\0".join([caller.queue, caller.tenant or "", key])
    return hashlib.sha256(text.encode()).hexdigest()
