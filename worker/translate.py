"""Between the queue's words and the engine's: a claim becomes a request, a result becomes bytes."""

from __future__ import annotations

import dataclasses
import zlib

from engine import Request, RequestResult, SamplingParams
from jobs import FUNCTION_NAME, GenerateJob, InvalidJobError, SampledRows, WireError
from jobs.errors import brief
from jobs.wire import MsgpackSerializer, read_call
from worker.claim import Claim

_PARAMS = tuple(field.name for field in dataclasses.fields(SamplingParams))
"""A job has a field for each."""


def to_job(claim: Claim, max_payload_bytes: int) -> GenerateJob:
    """The job that was claimed.

    A payload has at most `max_payload_bytes`, as it comes and inflated, and is not read beyond.

    Raises WireError for a payload that is not Rowmill's format, InvalidJobError for a job that is
    not for us or has a bad field.
    """
    if claim.callbacks:
        raise InvalidJobError(
            claim.callbacks[0],
            "a job that carries it",
            "left out: Rowmill runs no code that comes with a job",
        )
    job = read_job(claim.payload, max_payload_bytes)
    if job.tenant is not None and claim.queue.partition("@")[2] != job.tenant:
        raise InvalidJobError(
            "tenant",
            f"{job.tenant!r} on queue {claim.queue!r}",
            "that of a queue named queue@tenant",
        )
    if claim.num_samples not in (None, job.num_samples):
        limit = f"{claim.num_samples:g}, as the job was counted"
        raise InvalidJobError("num_samples", str(job.num_samples), limit)
    if job.reply_to is not None and not claim.has_reply_list:
        raise InvalidJobError("reply_to", "a name from plain RQ", "pushed with Rowmill's client")
    return job


def to_request(job: GenerateJob, request_id: str) -> Request:
    """The request that a job asks for. Raises RequestError for a field that no engine takes."""
    params = SamplingParams(**{name: getattr(job, name) for name in _PARAMS})
    return Request(
        id=request_id,
        prompt_tokens=job.prompt_tokens,
        num_samples=job.num_samples,
        first_row=job.first_row,
        params=params,
    )


def read_job(payload: bytes, max_payload_bytes: int) -> GenerateJob:
    """The job in RQ's `data` field; see `to_job`."""
    call = read_call(_inflated(payload, max_payload_bytes))
    if not isinstance(call, list | tuple) or len(call) != 4:
        raise WireError("the payload is not a call of four parts")
    function, instance, args, kwargs = call
    if function == FUNCTION_NAME and args:
        raise InvalidJobError("args", brief(args), "empty: a job's fields are keyword arguments")
    if function != FUNCTION_NAME or instance is not None:
        raise InvalidJobError(
            "function", brief(function), f"{FUNCTION_NAME!r} with keyword arguments only"
        )
    return GenerateJob.parse(kwargs)


def to_wire(result: RequestResult) -> bytes:
    """The rows as RQ's return value. They must all have ended well."""
    return MsgpackSerializer.dumps(to_rows(result))


def to_rows(result: RequestResult) -> SampledRows:
    """The rows and their provenance in the queue's words, which are the engine's."""
    assert all(row.finish_reason != "error" for row in result.rows), "these are no result"
    return SampledRows.model_validate(result, from_attributes=True)


def _inflated(payload: bytes, max_bytes: int) -> bytes:
    if not payload:
        raise WireError("the payload is empty or missing")
    if len(payload) > max_bytes:
        raise WireError(f"the payload has {len(payload)} bytes, of at most {max_bytes}")
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(payload, max_bytes + 1)
    except zlib.error:
        return payload  # RQ also reads what is not compressed
    if len(data) > max_bytes:
        raise WireError(f"the payload inflates to more than {max_bytes} bytes")
    if not inflater.eof or inflater.unused_data:
        raise WireError("the payload is not exactly one zlib stream")
    return data
