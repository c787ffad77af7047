"""/v1/jobs: jobs are pushed, looked at, read while they run, and withdrawn."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from gateway.attended import attended
from gateway.caller import Caller
from gateway.dependencies import TheCaller, TheServices
from gateway.error_docs import errors
from gateway.event_stream import EventStream
from gateway.json_body import json_body
from gateway.native import examples, idempotency
from gateway.native.job_answer import Accepted, JobAnswer, Withdrawn, answer_of
from gateway.native.job_request import read_jobs
from gateway.native.job_schema import request_body
from gateway.native.job_stream import job_events
from gateway.services import Services
from gateway.submission import submit
from jobs import (
    JobCancelledError,
    JobExistsError,
    JobFailedError,
    JobInfo,
    JobNotFoundError,
    JobsError,
    JobStatus,
    ResultTimeoutError,
    SampledRows,
    WireError,
)

router = APIRouter(prefix="/v1/jobs", tags=["Jobs"])

_MANY_TOKENS = 2**14

JobId = Annotated[
    str, Path(description="As it was answered when the job was pushed.", examples=["4f1c"])
]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="How many seconds to wait for the job's end, at most; the gateway's own limit "
        "(60, unless it was told otherwise) comes before.",
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias=idempotency.HEADER,
        description="Names this request: sent again under it, with the same body, it makes no "
        "second jobs, and is answered with the IDs of the first. 1 to 255 visible ASCII "
        "characters; known for a week.",
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Push jobs",
    openapi_extra=request_body(),
    responses={202: examples.ACCEPTED, **errors(400, 413, 415, 422, 429, 503)},
)
async def push(
    request: Request, services: TheServices, caller: TheCaller, key: Key = None
) -> Accepted:
    """One job, or up to 1,000 at once: all are queued or none.

    A quota is charged with the rows and tokens that they may come to.
    """
    jobs = await json_body(request, lambda body: read_jobs(body, services.tokenizer))
    if key is None:
        return Accepted(ids=await submit(services, caller, jobs))
    idempotency.check_key(key)
    keyed = idempotency.Keyed(caller, key, await request.body())
    ids = keyed.job_ids(len(jobs))
    missing = await keyed.missing(services.server, ids)
    if missing:
        wanted = [jobs[index] for index in missing]
        # Where the same request came twice at once, the other one may have been quicker.
        with contextlib.suppress(JobExistsError):
            await submit(services, caller, wanted, [ids[index] for index in missing])
    return Accepted(ids=ids)


@router.get(
    "/{job_id}",
    summary="Look at a job, or wait for it",
    response_model=JobAnswer,
    responses={200: examples.FINISHED, **errors(400, 404, 503)},
)
async def look(
    request: Request,
    services: TheServices,
    caller: TheCaller,
    job_id: JobId,
    wait: Wait = 0,
) -> Response:
    """Its status, its rows when it is finished, and why it failed where it did.

    With `wait` the answer comes when the job ends, or when the time is over.
    """
    await _own_job(services, caller, job_id)
    seconds = min(wait, services.config.max_wait_seconds)
    outcome = await _outcome(request, services, caller, job_id, seconds)
    info = await _own_job(services, caller, job_id)
    if outcome is None and info.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
        outcome = await _outcome(request, services, caller, job_id, 0)  # it has ended since

    def written() -> str:
        return answer_of(info, outcome, services.tokenizer).model_dump_json(exclude_none=True)

    num_tokens = _num_tokens(outcome)
    services.metrics.tokens.inc(num_tokens)
    # A thread for what takes long, so that other requests do not wait for it.
    content = await asyncio.to_thread(written) if num_tokens > _MANY_TOKENS else written()
    return Response(content, media_type="application/json")


@router.delete(
    "/{job_id}",
    summary="Cancel a job, or delete it",
    responses={200: examples.CANCELLED, **errors(400, 404, 503)},
)
async def withdraw(services: TheServices, caller: TheCaller, job_id: JobId) -> Withdrawn:
    """A job that is queued or running is cancelled; one that has ended is deleted."""
    await _own_job(services, caller, job_id)
    client = services.client(caller.queue)
    is_cancelled = await client.cancel(job_id)
    is_deleted = not is_cancelled and await client.delete([job_id]) > 0
    return Withdrawn(id=job_id, cancelled=is_cancelled, deleted=is_deleted)


@router.get(
    "/{job_id}/stream",
    summary="Read a job's rows as they come",
    status_code=200,
    response_class=EventStream,
    responses={200: examples.STREAM, **errors(400, 404, 503)},
)
async def stream(services: TheServices, caller: TheCaller, job_id: JobId) -> EventStream:
    """Server-sent events: `delta` with the next tokens of a row, each token once, then `done`.

    Tokens come as they are sampled where the job was pushed with `stream`, and otherwise all at its
    end. An `error` event is the last, and has the shape of all errors. Read again, the stream
    begins again with the first tokens, which are the same; it can be read as long as the rows are
    kept.
    """
    await _own_job(services, caller, job_id)
    deltas = services.client(caller.queue).stream(job_id)
    events = job_events(job_id, deltas, services.tokenizer, services.metrics)
    return EventStream(events, services.shutdown, services.config.heartbeat_seconds)


def _num_tokens(outcome: SampledRows | JobsError | None) -> int:
    rows = outcome.rows if isinstance(outcome, SampledRows) else ()
    return sum(len(row.tokens) for row in rows)


async def _own_job(services: Services, caller: Caller, job_id: str) -> JobInfo:
    """Raises JobNotFoundError also for another tenant's, of which a caller shall not know."""
    info = await services.client(caller.queue).info(job_id)
    if (info.queue, info.tenant) != (caller.queue, caller.tenant):
        raise JobNotFoundError(job_id)
    return info


async def _outcome(
    request: Request, services: Services, caller: Caller, job_id: str, seconds: float
) -> SampledRows | JobsError | None:
    """None for a job that is still under way when the time is over."""
    result = services.client(caller.queue).result(job_id, seconds)
    try:
        return await attended(request, services.shutdown, result) if seconds else await result
    except ResultTimeoutError:
        return None
    except (JobFailedError, JobCancelledError, WireError) as error:
        return error
