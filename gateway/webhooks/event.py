"""Event: a job's end as its webhook tells it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from jobs.names import check_job_id
from jobs.webhook_url import WebhookUrl

_STATUSES = ("finished", "failed", "cancelled")
_LONGEST_ERROR = 2000
"""Characters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    job_id: str
    url: WebhookUrl = dataclasses.field(repr=False)
    """Never shown whole: such URLs hold tokens."""
    status: str
    """finished, failed or cancelled."""
    queue: str
    tenant: str | None
    num_rows: int | None
    """Of a job that finished; None where the server does not know."""
    error: str | None
    """Why it failed."""
    ended_at: str
    """Unix time by the server's clock, as it noted it."""

    @classmethod
    def read(cls, job_id: str, queue: str, fields: Sequence[bytes]) -> Self:
        """What the server noted; see `claim_webhooks.lua`. Raises ValueError for anything else."""
        url, status, tenant, num_samples, reason, ended_at = (
            field.decode("utf-8", "replace") for field in fields
        )
        check_job_id(job_id)
        if status not in _STATUSES:
            raise ValueError("no status in which a job ends")
        event = cls(
            job_id=job_id,
            url=WebhookUrl.parse(url),
            status=status,
            queue=queue,
            tenant=tenant or None,
            num_rows=int(num_samples) if status == "finished" and num_samples.isdecimal() else None,
            error=_inflated(reason) if reason else None,
            ended_at=ended_at,
        )
        event.timestamp()
        return event

    def __str__(self) -> str:
        return f"job {self.job_id}: webhook to {self.url.host}"

    @property
    def webhook_id(self) -> str:
        """The same in all attempts; another one should the job be pushed again, and end again."""
        told = f"{self.job_id}.{self.status}.{self.ended_at}"
        return f"msg_{hashlib.sha256(told.encode()).hexdigest()[:32]}"

    def timestamp(self) -> str:
        """When the job ended. Raises ValueError."""
        try:
            ended = datetime.fromtimestamp(float(self.ended_at), UTC)
        except (OverflowError, OSError) as error:
            raise ValueError("no time") from error
        return ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def body(self) -> bytes:
        """The same bytes in all attempts."""
        data = {
            "job_id": self.job_id,
            "status": self.status,
            "queue": self.queue,
            "tenant": self.tenant,
            "num_rows": self.num_rows,
            "error": self.error,
        }
        told = {"type": f"job.{self.status}", "timestamp": self.timestamp(), "data": data}
        return json.dumps(told, separators=(",", ":")).encode()


def _inflated(reason: str) -> str:
    """A reason as RQ stores it; anybody may have written it."""
    try:
        most = 4 * _LONGEST_ERROR  # bytes
        text = zlib.decompressobj().decompress(b64decode(reason), most)
    except (ValueError, zlib.error):
        return "the reason can't be read"
    return text.decode("utf-8", "replace")[:_LONGEST_ERROR]
