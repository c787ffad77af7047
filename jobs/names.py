"""Which names jobs and queues may have: those that RQ's own readers take, within a length."""

import re

from jobs.errors import InvalidJobError, brief

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def check_job_id(job_id: object) -> None:
    """Raises InvalidJobError for what no job may be called."""
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InvalidJobError("job_id", brief(job_id), "1 to 128 letters, digits, '_' or '-'")


def check_queue_name(queue: object) -> None:
    """Raises InvalidJobError for what no queue may be called."""
    if not isinstance(queue, str) or not _QUEUE.fullmatch(queue):
        limit = "1 to 128 letters, digits, '_', '-' or '.'"
        raise InvalidJobError("queue", brief(queue), limit)
