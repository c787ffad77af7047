"""Outbox: the webhooks of a queue that are to be sent, kept in the server.

Several senders may share it. Each claims what is due for the time of a lease; what one claimed and
did not settle, as it died, is due again then. So each webhook is sent at least once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from gateway.webhooks.config import WebhooksConfig
from jobs.connection import address_of, open_async_connection, server_errors
from jobs.scripts import register_script


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A webhook that this sender holds, as the server noted it."""

    job_id: bytes
    mark: bytes
    """By which the claim is known."""
    attempt: int
    """1, 2 ..., this one included."""
    fields: tuple[bytes, ...]
    """See Event.read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a claim.

    sent: delivered; later: it failed, and is due again in `seconds`; undone: nothing was tried, and
    it is due again in `seconds`; given_up: it failed for good.
    """

    kind: Literal["sent", "later", "undone", "given_up"]
    seconds: float = 0.0
    reason: str = ""


class Outbox:
    """Methods raise redis.RedisError where the server can't be reached or refuses."""

    def __init__(self, config: WebhooksConfig) -> None:
        """Sends nothing yet. Raises InvalidJobError for a bad URL."""
        self._queue = config.queue
        self._lease = config.lease
        self._connection = open_async_connection(config.redis_url)
        self._address = address_of(self._connection)
        self._claim, self._settle = (
            register_script(self._connection, "gateway", name)
            for name in ("claim_webhooks", "settle_webhooks")
        )

    async def check(self) -> None:
        """Raises ServerUnavailableError where the server does not let us do our work."""
        with server_errors(self._address):
            await self._claim(self._queue, 0, self._lease)

    async def claim(self, most: int) -> tuple[int, list[Claimed]]:
        """How many are due, and up to `most` of them, which are ours now."""
        num_due, replies = await self._claim(self._queue, most, self._lease)
        return int(num_due), [_claimed(reply) for reply in replies]

    async def settle(self, verdicts: Sequence[tuple[Claimed, Verdict]]) -> list[bool]:
        """Store what became of claims; tells of each whether it still held its webhook."""
        arguments: list[bytes | str] = []
        for claimed, its in verdicts:
            arguments += (claimed.job_id, claimed.mark, its.kind, f"{its.seconds:.3f}", its.reason)
        return [bool(answer) for answer in await self._settle(self._queue, *arguments)]

    async def close(self) -> None:
        await self._connection.aclose()


def _claimed(reply: list[bytes]) -> Claimed:
    job_id, mark, attempt, *fields = reply
    return Claimed(job_id=job_id, mark=mark, attempt=int(attempt), fields=tuple(fields))
