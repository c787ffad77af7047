"""JobStatus: where a job stands."""

from enum import StrEnum


class JobStatus(StrEnum):
    """A job goes from queued to running to one of the last three, and back if a worker dies."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
