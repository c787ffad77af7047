"""Between the queue's words and the engine's: a claim becomes a request, a result becomes bytes."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from engine import Request, RequestResult, SamplingParams
from engine import RowDelta as EngineDelta
from jobs import GenerateJob, InvalidJobError, RowDelta, SampledRows
from jobs.payload import read_job
from jobs.wire import MsgpackSerializer
from worker.claim import Claim

_Number = TypeVar("_Number", int, float)

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
    if job.webhook_url is not None and not claim.has_webhook:
        raise InvalidJobError("webhook_url", "a URL from plain RQ", "pushed with Rowmill's client")
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
        stream=job.stream,
    )


def to_delta(delta: EngineDelta) -> RowDelta:
    """What is new of a row in the queue's words. One whose logits were no numbers ends in none of
    its ways: its job fails."""
    reason = delta.finish_reason
    return RowDelta(
        row=delta.index,
        start=delta.start,
        tokens=tuple(delta.tokens),
        masks=tuple(delta.masks),
        logprobs=_tuple(delta.logprobs),
        top_tokens=_tuple(delta.top_tokens),
        top_logprobs=_tuple(delta.top_logprobs),
        finish_reason=None if reason == "error" else reason,
        text=delta.text,
    )


def _tuple(column: list[_Number] | None) -> tuple[_Number, ...] | None:
    return None if column is None else tuple(column)


def to_wire(result: RequestResult) -> bytes:
    """The rows as RQ's return value. They must all have ended well."""
    return MsgpackSerializer.dumps(to_rows(result))


def to_rows(result: RequestResult) -> SampledRows:
    """The rows and their provenance in the queue's words, which are the engine's."""
    assert all(row.finish_reason != "error" for row in result.rows), "these are no result"
    return SampledRows.model_validate(result, from_attributes=True)
