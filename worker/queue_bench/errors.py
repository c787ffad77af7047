"""What can go wrong in a queue bench."""

from __future__ import annotations


class QueueBenchError(Exception):
    """A worker or a result was not as it has to be, so there is nothing to measure."""
