"""JobOptions: how long jobs may run and be kept, and how often they are tried, and how many."""

from dataclasses import dataclass, fields

from jobs.errors import InvalidJobError, brief

MAX_PAYLOAD_BYTES = 16 * 2**20
"""Of a job as it is pushed, unless said otherwise: a prompt of a million tokens takes 4 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What RQ is told about every job; times are whole seconds.

    `timeout`: how long one attempt may run. `result_ttl` and `failure_ttl`: how long finished, and
    failed or cancelled, jobs and their results are kept. `max_attempts`: how often a job is tried
    if workers die under it. `max_queued`: how many jobs may wait in the queue, of each tenant, when
    one is pushed; None is no limit. `max_payload_bytes`: of a job as it is pushed.
    """

    timeout: int = 3600
    result_ttl: int = 86_400
    failure_ttl: int = 7 * 86_400
    max_attempts: int = 3
    max_queued: int | None = None
    max_payload_bytes: int = MAX_PAYLOAD_BYTES

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if type(value) is not int or not 1 <= value < 2**31:
                raise InvalidJobError(field.name, brief(value), "an integer from 1 to 2147483647")
