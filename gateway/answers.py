"""What callers are told where a request ends in an exception: OpenAI's shape, whoever raised it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.body_limit import TOO_LARGE
from gateway.errors import ApiError, api_error
from jobs import InvalidJobError, JobsError
from jobs.errors import brief


def answer_errors(app: FastAPI) -> None:
    """Let the application answer so. A defect of ours is RequestLog's."""
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(JobsError, _answer_jobs_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)


async def _answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _answer_jobs_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, JobsError)
    return api_error(error).response()


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid_request(error.errors(), error.body).response()


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Of the router, and of what reads bodies."""
    assert isinstance(error, HTTPException)
    place = f"{request.method} {request.url.path}"
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            told = ApiError(404, f"there is no {place}", code="unknown_url")
        case 405:
            allowed = headers.get("Allow", headers.get("allow", "other methods"))
            text = f"there is no {place}; this path takes {allowed}"
            told = ApiError(405, text, code="method_not_allowed")
        case 413:
            told = ApiError(413, error.detail, code=TOO_LARGE)
        case status:
            told = ApiError(status, str(error.detail))
    told.headers = headers
    return told.response()


def invalid_request(problems: Sequence[Any], body: object) -> ApiError:
    """What pydantic found, by the first field that is wrong.

    Where a field may be of several types, each says why it is not that one: the one that came
    furthest is likely to be meant, and all that is about its field is told together.
    """
    first = problems[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidJobError):
        return api_error(cause)
    if first["type"] == "json_invalid":
        at = first["loc"][-1]
        return ApiError(400, f"the body is not JSON: {cause} at character {at}", code="not_json")
    of_field = [problem for problem in problems if problem["loc"][:2] == first["loc"][:2]]
    found: dict[str | None, list[Any]] = {}
    for problem in of_field:
        found.setdefault(_param(problem["loc"], body), []).append(problem)
    param = max(found, key=lambda param: len(param or ""))
    about = found[param]
    limits = dict.fromkeys(problem["msg"] for problem in about)  # each once, in their order
    is_missing = about[0]["type"] == "missing"
    given = "leaving it out" if is_missing else brief(about[0]["input"])
    text = f"{param or 'the body'}: {given} is not allowed: {', or '.join(limits)}"
    return ApiError(400, text, param=param)


def _param(location: Sequence[str | int], body: object) -> str | None:
    """The field as a caller would write it: `messages[0].content`."""
    source, *path = location
    if source != "body":
        return ".".join(map(str, path)) or None
    text = ""
    for part in _fields_of(path, body):
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or None


def _fields_of(path: Sequence[str | int], body: object) -> Iterator[str | int]:
    """The parts of a path that are the caller's: pydantic puts the names of types between."""
    for number, part in enumerate(path):
        if isinstance(body, dict) and isinstance(part, str):
            if part in body:
                body = body[part]
                yield part
            elif number == len(path) - 1:
                yield part  # it is missing
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
            yield part
