"""A job of RQ's as a worker reads it: nothing in its hash inflates beyond a limit, or is shown."""

from __future__ import annotations

import zlib
from typing import Any

from rq.job import Job

from jobs.errors import WireError

_MOST_BYTES = 64 * 2**20
_MOST_WEBHOOK_SECONDS = 10
_MOST_WEBHOOKS = 10
_INFLATED = (b"data", b"exc_info")
"""What RQ decompresses, to whatever size, as soon as it reads a job."""


class BoundedJob(Job):
    """For what follows a job: its dependents, rate limit and webhooks.

    RQ reads a job's hash with our serializer and JSON only, and imports what it names only when it
    runs the job, which we never let it. Raises WireError where it would inflate too much.
    """

    def restore(self, raw_data: Any) -> None:
        if b"data" not in raw_data:
            raise WireError("the job has no payload")  # RQ's own error shows the whole hash
        for field in _INFLATED:
            _check_size(field.decode(), raw_data.get(field, b""))
        super().restore(raw_data)
        del self.webhooks[_MOST_WEBHOOKS:]
        for webhook in self.webhooks:  # their sender is one thread, for all jobs
            webhook.timeout = min(webhook.timeout, _MOST_WEBHOOK_SECONDS)


def _check_size(field: str, compressed: bytes) -> None:
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(compressed, _MOST_BYTES)
    except zlib.error:
        return  # RQ takes it as it is
    if inflater.unconsumed_tail:
        raise WireError(f"the job's {field} inflates to more than {_MOST_BYTES} bytes")
