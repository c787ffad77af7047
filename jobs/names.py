"""Which names jobs, queues, tenants and reply lists may have: those that RQ's own readers take."""

import re

from jobs.errors import InvalidJobError, brief

NAME = r"^[A-Za-z0-9_.-]{1,128}$"
NAME_LIMIT = "1 to 128 letters, digits, '_', '-' or '.'"

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(NAME)


def check_job_id(job_id: object) -> None:
    """Raises InvalidJobError for what no job may be called."""
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InvalidJobError("job_id", brief(job_id), "1 to 128 letters, digits, '_' or '-'")


def check_queue_name(queue: object) -> None:
    """Raises InvalidJobError for what no queue may be called."""
    check_name("queue", queue)


def is_name(name: object) -> bool:
    """Whether a queue, tenant or reply list may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_name(field: str, name: object) -> None:
    """Raises InvalidJobError for what no queue, tenant or reply list may be called."""
    if not is_name(name):
        raise InvalidJobError(field, brief(name), NAME_LIMIT)


def queue_of(queue: str, tenant: str | None) -> str:
    """The queue in which a tenant's jobs stand."""
    return queue if tenant is None else f"{queue}@{tenant}"
