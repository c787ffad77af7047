"""ClientOptions: what both clients can be told, by name."""

from typing import TypedDict


class ClientOptions(TypedDict, total=False):
    """`timeout`, `result_ttl` and `failure_ttl` are whole seconds; see JobOptions for these and all
    others but two.

    `wait_when_full`: how many seconds a submit waits while `max_queued` jobs stand in the queue, or
    in its tenant's: 0, the default, raises QueueFullError at once, None waits for ever.

    `wait_when_away`: for how many seconds `result`, `results` and `stream` go on asking a server
    that does not answer, but no longer than their timeout, to go on where they were: 0, the
    default, raises ServerUnavailableError at once.
    """

    timeout: int
    result_ttl: int
    failure_ttl: int
    max_attempts: int
    max_queued: int | None
    wait_when_full: float | None
    wait_when_away: float
    max_payload_bytes: int
