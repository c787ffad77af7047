"""Everything that `jobs` raises on purpose.

    JobsError
    ├── InvalidJobError (ValueError)        a field breaks its limit
    ├── WireError                           not Rowmill's wire format, or a value it cannot hold
    ├── ServerUnavailableError              no Redis or Valkey server answers
    │   ├── LoginRefusedError               it wants another user or password
    │   └── PermissionDeniedError           its access rules forbid a command, key or channel
    ├── QueueFullError                      there is no room for a job in its queue
    ├── JobExistsError                      a job ID is taken; nothing was overwritten
    ├── JobNotFoundError                    no such job, or its result has expired
    ├── JobFailedError                      the worker gave up on the job
    ├── JobCancelledError                   somebody cancelled the job
    ├── StreamDivergedError                 a second attempt made other tokens than were streamed
    └── ResultTimeoutError (TimeoutError)   the wait is over, the job is not

Every error can be pickled: `args` is what its constructor takes.
"""

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def brief(value: object) -> str:
    """Shows a value in an error message, shortened if it is long or deep."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return f"<{type(value).__name__}>"


class JobsError(Exception):
    """The base of all errors of this package."""


class InvalidJobError(JobsError, ValueError):
    """A field breaks its limit.

    Attributes: `field`, its name; `value`, what was given, as short text; `limit`, what is
    allowed.
    """

    def __init__(self, field: str, value: str, limit: str) -> None:
        super().__init__(field, value, limit)
        self.field = field
        self.value = value
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.field}: {self.value} is not allowed; it must be {self.limit}"


class WireError(JobsError):
    """A payload is not in Rowmill's wire format, or a value cannot be written in it."""


class ServerUnavailableError(JobsError):
    """The server at `address` (never with a password) did not do what it was asked."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"the Redis or Valkey server at {self.address} is not available: {self.reason}"


class QueueFullError(JobsError):
    """`queue` holds `max_queued` jobs. Those in `job_ids` were not pushed; try again later.

    `pushed`: the IDs among the same call's that were; `taken`: those that other jobs have.
    """

    def __init__(
        self,
        queue: str,
        max_queued: int,
        job_ids: tuple[str, ...],
        pushed: tuple[str, ...] = (),
        taken: tuple[str, ...] = (),
    ) -> None:
        super().__init__(queue, max_queued, job_ids, pushed, taken)
        self.queue = queue
        self.max_queued = max_queued
        self.job_ids = job_ids
        self.pushed = pushed
        self.taken = taken

    def __str__(self) -> str:
        return (
            f"queue {self.queue} holds {self.max_queued} jobs (max_queued): {len(self.job_ids)} "
            f"job(s) not pushed: {brief(self.job_ids)}"
        )


class LoginRefusedError(ServerUnavailableError):
    """The server wants another user or password than the URL has, or one where it has none."""

    def __str__(self) -> str:
        return f"the Redis or Valkey server at {self.address} refuses the login: {self.reason}"


class PermissionDeniedError(ServerUnavailableError):
    """The server's access rules (ACL) forbid this user a command, key or channel.

    `reason` names what, where the server does.
    """

    def __str__(self) -> str:
        return (
            f"the Redis or Valkey server at {self.address} does not permit this: {self.reason}. "
            "docs/security.md lists what producers and workers need"
        )


class JobExistsError(JobsError):
    """The IDs in `job_ids` were taken. Those jobs are as they were."""

    def __init__(self, job_ids: tuple[str, ...]) -> None:
        super().__init__(job_ids)
        self.job_ids = job_ids

    def __str__(self) -> str:
        return f"{len(self.job_ids)} job ID(s) exist already: {brief(self.job_ids)}"


class JobNotFoundError(JobsError):
    """The server has no job, or no longer a result, under `job_id`."""

    def __init__(self, job_id: str, reason: str = "the server has no such job") -> None:
        super().__init__(job_id, reason)
        self.job_id = job_id
        self.reason = reason

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.reason}"


class JobFailedError(JobsError):
    """The job failed for good; `reason` is the worker's account, possibly a traceback."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(job_id, reason)
        self.job_id = job_id
        self.reason = reason

    def __str__(self) -> str:
        return f"job {self.job_id} failed: {self.reason}"


class JobCancelledError(JobsError):
    """The job was cancelled and will give no rows."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"job {self.job_id} was cancelled"


class StreamDivergedError(JobsError):
    """Another attempt at the job made other tokens than a reader of its stream has seen.

    Only workers that are not reproducible do so, or those of two models on one queue.
    """

    def __init__(self, job_id: str, row: int, position: int) -> None:
        super().__init__(job_id, row, position)
        self.job_id = job_id
        self.row = row
        self.position = position

    def __str__(self) -> str:
        return (
            f"job {self.job_id}: row {self.row} has another token at position {self.position} than "
            "was streamed before: an attempt at it ran on a worker that is not reproducible"
        )


class ResultTimeoutError(JobsError, TimeoutError):
    """The job was not done within `timeout` seconds. It goes on; ask again later."""

    def __init__(self, job_id: str, timeout: float) -> None:
        super().__init__(job_id, timeout)
        self.job_id = job_id
        self.timeout = timeout

    def __str__(self) -> str:
        return f"job {self.job_id} was not done within {self.timeout:g} s"
