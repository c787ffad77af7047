"""JobInfo: what the server knows of a job, beside what it asks for and its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.job_status import JobStatus

INFO_FIELDS = (
    *("status", "origin", "created_at", "started_at", "ended_at"),
    *("attempts", "worker_name"),
)
"""Of a job's hash, as RQ and our workers write it."""

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """Where a job stands and whose it is, at one moment.

    `queue` and `tenant`: where it was pushed, whichever queue was asked. `created_at` is by its
    producer's clock; `started_at`, of the last attempt, and `ended_at` by its worker's; each None
    where it is not so, or not known. `attempts`: how many there were, of a job that has not ended;
    else None. `worker`: who made the last one.
    """

    job_id: str
    status: JobStatus
    queue: str
    tenant: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int | None
    worker: str | None


def read_info(job_id: str, status: JobStatus, fields: Mapping[str, bytes]) -> JobInfo:
    """From INFO_FIELDS, whoever wrote them; what is not there is empty."""
    queue, _, tenant = fields["origin"].decode(errors="replace").partition("@")
    is_under_way = status in (JobStatus.QUEUED, JobStatus.RUNNING)
    attempts = int(fields["attempts"]) if fields["attempts"].isdigit() else 0
    return JobInfo(
        job_id=job_id,
        status=status,
        queue=queue,
        tenant=tenant or None,
        created_at=_time(fields["created_at"]),
        started_at=_time(fields["started_at"]),
        ended_at=_time(fields["ended_at"]),
        # Where a job ends, its worker forgets its attempts.
        attempts=attempts if is_under_way else None,
        worker=fields["worker_name"].decode(errors="replace") or None,
    )


def _time(text: bytes) -> datetime | None:
    """None for what RQ does not write."""
    try:
        return datetime.strptime(text.decode(), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
