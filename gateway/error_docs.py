"""How the OpenAPI document tells of errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gateway.errors import ApiError

Responses = dict[int | str, dict[str, Any]]


class ErrorDetail(BaseModel):
    message: str = Field(description="What is wrong, and the limit where a field breaks one.")
    type: str
    param: str | None = Field(description="The field that is wrong.")
    code: str | None


class ErrorBody(BaseModel):
    """Every error has this shape, which OpenAI's clients read."""

    error: ErrorDetail


_EXAMPLES = {
    400: (
        "A field breaks its limit, or the body is not JSON. Nothing was queued.",
        ApiError(
            400,
            "num_samples: 0 is not allowed; it must be an integer from 1 to 65535",
            param="num_samples",
        ),
    ),
    401: (
        "No API key, or one that does not count.",
        ApiError(
            401,
            "this API key is not known, or was withdrawn",
            kind="authentication_error",
            code="invalid_api_key",
        ),
    ),
    404: (
        "There is none, or it is another tenant's.",
        ApiError(404, "job 4f1c: the server has no such job", code="job_not_found"),
    ),
    408: (
        "The job's own deadline passed before it was done.",
        ApiError(
            408,
            "deadline_seconds: the deadline passed before the job was done",
            kind="timeout_error",
            param="deadline_seconds",
            code="deadline",
        ),
    ),
    409: (
        "It is in another state than this needs.",
        ApiError(409, "job 4f1c was cancelled", code="job_cancelled"),
    ),
    413: (
        "The body is too large.",
        ApiError(413, "the body is larger than 16777216 bytes, the most that is taken here"),
    ),
    415: (
        "The body is of another type.",
        ApiError(415, "Content-Type: it must be application/json", param="Content-Type"),
    ),
    422: (
        "It is understood, and can't be done.",
        ApiError(
            422,
            "Idempotency-Key: 'a' came with another body before",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        ),
    ),
    429: (
        "A quota is used up, or the queue is full; `Retry-After` tells when to try again.",
        ApiError(
            429,
            "the quota of 600 rows per minute (rows_per_minute) is used up: try again in 7 s",
            kind="rate_limit_error",
            code="rows_quota_used_up",
        ),
    ),
    500: (
        "The gateway failed, or the job did.",
        ApiError(500, "job 4f1c failed: ...", kind="server_error", code="job_failed"),
    ),
    503: (
        "The queue's server can't be reached; `Retry-After` tells when to try again.",
        ApiError(503, "the queue's server is not available", kind="server_error", code="no_server"),
    ),
    504: (
        "The job was not done in time. It goes on.",
        ApiError(504, "job 4f1c was not done within 60 s", kind="timeout_error", code="timeout"),
    ),
}


def shown(example: Any, content_type: str = "application/json") -> Responses:
    """The `responses` of a route that answers so."""
    return {200: {"content": {content_type: {"example": example}}}}


def errors(*statuses: int) -> Responses:
    """The `responses` of a route that may answer with these."""
    return {status: _response(*_EXAMPLES[status]) for status in statuses}


def _response(description: str, example: ApiError) -> dict[str, Any]:
    return {
        "model": ErrorBody,
        "description": description,
        "content": {"application/json": {"example": example.body()}},
    }
