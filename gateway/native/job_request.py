"""From a request's body to jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import ApiError, api_error
from jobs import GenerateJob, InvalidJobError
from jobs.errors import brief
from jobs.field_limits import unknown_field
from vocab import Tokenizer
from vocab.conversation import render_text

OF_THE_KEY = ("tenant", "priority", "reply_to")
"""Fields of a job that callers have no say in: the first two are their API key's, and a reply list
can't be read from here."""
PROMPT = "prompt"
MAX_JOBS = 1000
"""In one request."""


def read_jobs(body: Any, tokenizer: Tokenizer | None) -> list[GenerateJob]:
    """One job from an object with its fields, or many from `{"jobs": [...]}`.

    Raises ApiError (400) that names the field as the body has it: `jobs[2].seed`.
    """
    if not isinstance(body, dict):
        raise ApiError(400, f"the body: {brief(body)} is not allowed; it must be an object")
    if "jobs" not in body:
        return [_read_job(body, "", tokenizer)]
    jobs = body["jobs"]
    if len(body) > 1:
        other = next(name for name in body if name != "jobs")
        told = InvalidJobError(brief(other), "this field beside jobs", "within one of them")
        raise api_error(told)
    if not isinstance(jobs, list) or not 1 <= len(jobs) <= MAX_JOBS:
        given = f"a list of {len(jobs)}" if isinstance(jobs, list) else brief(jobs)
        raise api_error(InvalidJobError("jobs", given, f"a list of 1 to {MAX_JOBS} jobs"))
    return [_read_job(job, f"jobs[{index}].", tokenizer) for index, job in enumerate(jobs)]


def _read_job(fields: Any, place: str, tokenizer: Tokenizer | None) -> GenerateJob:
    try:
        if not isinstance(fields, Mapping):
            raise InvalidJobError("job", brief(fields), "an object with a job's fields")
        for name in fields:
            if name in OF_THE_KEY:
                raise InvalidJobError(name, "a job of the gateway's with it", "left out")
            if name != PROMPT and name not in GenerateJob.model_fields:
                raise unknown_field(GenerateJob, name, beside=(PROMPT,), without=OF_THE_KEY)
        if PROMPT in fields:
            fields = _with_tokens(fields, tokenizer)
        return GenerateJob.parse(fields)
    except InvalidJobError as error:
        told = api_error(error)
        if place:
            told.param = place + (told.param or "")
            told.message = place + told.message
        raise told from error


def _with_tokens(fields: Mapping[str, Any], tokenizer: Tokenizer | None) -> Mapping[str, Any]:
    rest = {name: value for name, value in fields.items() if name != PROMPT}
    text = fields[PROMPT]
    if "prompt_tokens" in rest:
        raise InvalidJobError(PROMPT, "prompt beside prompt_tokens", "one or the other")
    if not isinstance(text, str):
        raise InvalidJobError(PROMPT, brief(text), "text; prompt_tokens takes a list of tokens")
    if tokenizer is None:
        limit = "left out, as the gateway has no tokenizer: give prompt_tokens"
        raise InvalidJobError(PROMPT, "text", limit)
    tokens = render_text(text, tokenizer)
    if not tokens:
        raise InvalidJobError(PROMPT, brief(text), "text with at least one token")
    return {**rest, "prompt_tokens": tokens}
