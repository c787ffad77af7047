"""Errors as OpenAI's clients read them."""

from __future__ import annotations

import math
import re
from typing import Any

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

_FINAL = {"X-Should-Retry": "false"}
"""OpenAI's clients send a request again by themselves after 408, 409 and 5xx, unless told not to.
Where a job has ended, that would run it anew: one that takes workers down would do so again."""
_REFUSED = re.compile(r"(?:RequestError|InvalidJobError): (\w+): (.*)", re.DOTALL)


class ApiError(Exception):
    """What a caller is told instead of an answer.

    `param`: the field that is wrong; `retry_after`: seconds until it may be tried again; `headers`:
    what else the answer says.
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
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        error = {
            "message": _writable(self.message),
            "type": self.kind,
            "param": None if self.param is None else _writable(self.param),
            "code": self.code,
        }
        return {"error": error}

    def response(self) -> JSONResponse:
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(math.ceil(self.retry_after), 1))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers=headers)


def api_error(error: JobsError) -> ApiError:
    """What a caller is told of an error of the queue's."""
    text = str(error)
    match error:
        case InvalidJobError():
            return ApiError(400, _with_notes(text, error), param=error.field)
        case JobNotFoundError():
            return ApiError(404, text, code="job_not_found")
        case JobExistsError():
            return ApiError(409, text, code="job_exists")
        case JobCancelledError():
            return ApiError(409, text, code="job_cancelled", headers=_FINAL)
        case JobFailedError():
            return _failure(error)
        case QueueFullError():
            return ApiError(429, text, kind="rate_limit_error", code="queue_full", retry_after=1)
        case ResultTimeoutError():
            return ApiError(504, text, kind="timeout_error", code="timeout")
        case ServerUnavailableError():
            text = "the queue's server is not available"
            return ApiError(503, text, kind="server_error", code="no_server", retry_after=5)
        case _:
            return ApiError(500, text, kind="server_error")


def _failure(error: JobFailedError) -> ApiError:
    """A worker fails jobs for the caller's mistakes, too: what only it and its model know of.

    Of a traceback, which no worker of ours writes, only the last line is told.
    """
    refused = _REFUSED.fullmatch(error.reason)
    if refused is not None:
        field, problem = refused.groups()
        return ApiError(400, f"{field}: {problem}", param=field, code="job_refused")
    if error.reason.startswith("deadline_seconds: "):
        return ApiError(
            408,
            error.reason,
            kind="timeout_error",
            param="deadline_seconds",
            code="deadline",
            headers=_FINAL,
        )
    lines = error.reason.strip().splitlines() or [""]
    reason = lines[-1] if lines[0].startswith("Traceback") else error.reason
    text = f"job {error.job_id} failed: {reason}"
    return ApiError(500, text, kind="server_error", code="job_failed", headers=_FINAL)


def unexpected_error(request_id: str) -> ApiError:
    """Of a defect of ours, which the log tells under this ID and the caller is not told."""
    text = f"the gateway failed at this request; its log tells why under {request_id}"
    return ApiError(500, text, kind="server_error", code="internal_error")


def _with_notes(text: str, error: InvalidJobError) -> str:
    """The notes say which of many jobs it is."""
    return "; ".join([text, *getattr(error, "__notes__", ())])


def _writable(text: str) -> str:
    """JSON may name what UTF-8 can't write: half of a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()
