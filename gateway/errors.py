"""Errors as OpenAI's clients read them."""

from __future__ import annotations

import math
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from jobs import (
    InvalidJobError,
    JobCancelledError,
    JobExistsError,
    JobFailedError,
    JobNotFoundError,
    JobsError,
    QueueFullError,
    ResultTimeoutError,
    ServerUnavailableError,
)


class ApiError(Exception):
    """What a caller is told instead of an answer.

    `param`: the field that is wrong; `retry_after`: seconds until it may be tried again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


def api_error(error: JobsError) -> ApiError:
    """What a caller is told of an error of the queue's."""
    text = str(error)
    match error:
        case InvalidJobError():
            return ApiError(400, text, param=error.field)
        case JobNotFoundError():
            return ApiError(404, text, code="job_not_found")
        case JobExistsError():
            return ApiError(409, text, code="job_exists")
        case JobCancelledError():
            return ApiError(409, text, code="job_cancelled")
        case JobFailedError():
            return ApiError(500, text, kind="server_error", code="job_failed")
        case QueueFullError():
            return ApiError(429, text, kind="rate_limit_error", code="queue_full", retry_after=1)
        case ResultTimeoutError():
            return ApiError(504, text, kind="timeout_error", code="timeout")
        case ServerUnavailableError():
            text = "the queue's server is not available"
            return ApiError(503, text, kind="server_error", code="no_server", retry_after=5)
        case _:
            return ApiError(500, text, kind="server_error")


async def answer_api_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, JobsError):
        error = api_error(error)
    assert isinstance(error, ApiError)
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(math.ceil(error.retry_after), 1))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers=headers)
