"""How a job's life is read, within limits: what stands under its keys may be anything."""

import zlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from jobs.errors import JobNotFoundError, JobsError
from jobs.field_reading import count_of, moment_of, rq_moment_of, text_of
from jobs.generate_job import GenerateJob
from jobs.job_life import JobLife
from jobs.job_status import JobStatus
from jobs.life_event import parse_events
from jobs.names import is_name
from jobs.payload import read_job
from jobs.sampled_rows import SampledRows
from jobs.server_call import Batch, Operation, command
from jobs.short_fields import Fields, short_fields
from jobs.wire import MsgpackSerializer

_FIELDS = (
    *("status", "origin", "created_at", "enqueued_at", "deadline", "attempts", "retries_left"),
    *("life", "data"),
)
_MOST_PAYLOAD = 4 * 2**20
_MOST_REASON = 2**16


def read_life(job_id: str) -> Operation[JobLife]:
    """Raises JobNotFoundError if there is no such job."""
    key = f"rq:job:{job_id}"
    (fields,) = yield from short_fields([key], _FIELDS, {"data": _MOST_PAYLOAD})
    if "status" not in fields:
        raise JobNotFoundError(job_id)
    last = command("XREVRANGE", f"rq:results:{job_id}", "+", "-", "COUNT", 1)
    (seconds, micros), entries = yield Batch((command("TIME"), last))
    return life_of(job_id, fields, entries[0][1] if entries else {}, seconds + micros / 1e6)


def life_of(job_id: str, fields: Fields, result: Mapping[bytes, bytes], now: float) -> JobLife:
    """From the fields of a job's hash and of its last result."""
    events, num_cut = parse_events(fields.get("life"))
    queue, _, tenant = text_of(fields.get("origin")).partition("@")
    job = _job(fields.get("data"))
    status = JobStatus.of_rq(text_of(fields.get("status")))
    has_ended = status not in (JobStatus.QUEUED, JobStatus.RUNNING)
    return JobLife(
        job_id=job_id,
        status=status,
        now=now,
        queue=queue if is_name(queue) else None,
        tenant=tenant if is_name(tenant) else None,
        created_at=rq_moment_of(fields.get("created_at")),
        enqueued_at=rq_moment_of(fields.get("enqueued_at")),
        deadline=moment_of(text_of(fields.get("deadline"))),
        prompt_tokens=None if job is None else len(job.prompt_tokens),
        num_samples=None if job is None else job.num_samples,
        # Where a job ends, its worker forgets its attempts; the events have them.
        attempts=None if has_ended else count_of(text_of(fields.get("attempts"))) or 0,
        retries_left=count_of(text_of(fields.get("retries_left"))),
        events=events,
        num_cut=num_cut,
        **(_outcome(result) if has_ended else {}),
    )


def _outcome(result: Mapping[bytes, bytes]) -> dict[str, Any]:
    worker = text_of(result.get(b"worker_name"))
    told: dict[str, Any] = {"worker": worker if is_name(worker) else None}
    if (reason := result.get(b"exc_string")) is not None:
        told["error"] = reason_of(reason)
    if (rows := _rows(result.get(b"return_value"))) is not None:
        provenance = rows.provenance
        told |= {
            "model": provenance and provenance.model,
            "reproducible": rows.reproducible,
            "num_rows": len(rows.rows),
            "num_tokens": sum(len(row.tokens) for row in rows.rows),
        }
    return told


def reason_of(field: bytes) -> str:
    """Why a job failed, of a result's field as RQ writes it; as much as may be shown."""
    try:
        text = zlib.decompressobj().decompress(b64decode(field[: 4 * _MOST_REASON]), _MOST_REASON)
    except (ValueError, zlib.error):
        return "what its worker said can't be read"
    return text_of(text)


def _rows(field: bytes | None) -> SampledRows | None:
    try:
        value = MsgpackSerializer.loads(b64decode(field or b""))
    except (ValueError, JobsError):
        return None
    return value if isinstance(value, SampledRows) else None


def _job(payload: bytes | None) -> GenerateJob | None:
    try:
        return read_job(payload or b"", _MOST_PAYLOAD)
    except JobsError:
        return None
