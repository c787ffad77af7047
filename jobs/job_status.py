"""JobStatus: where a job stands."""

from enum import StrEnum


class JobStatus(StrEnum):
    """A job goes from queued to running to one of the last three, and back if a worker dies."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def of_rq(cls, text: str) -> "JobStatus":
        """From the words of RQ; all others are on their way to a worker: queued."""
        return _OF_RQ.get(text, cls.QUEUED)


_OF_RQ = {
    "started": JobStatus.RUNNING,
    "finished": JobStatus.FINISHED,
    "failed": JobStatus.FAILED,
    "stopped": JobStatus.CANCELLED,
    "canceled": JobStatus.CANCELLED,
}
DONE_IN_RQ = tuple(name for name, status in _OF_RQ.items() if status is not JobStatus.RUNNING)
"""RQ's words for jobs that have ended."""
