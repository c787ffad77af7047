"""Lines of OpenAI's batch format: `custom_id` and the `body` of a completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.dataset.errors import LineError
from jobs.dataset.request import PARAMETERS, LineRequest
from jobs.errors import InvalidJobError, brief
from jobs.openai_fields import IGNORED_FIELDS, response_schema

ID = "custom_id"
COLUMNS = (ID, "body", "url", "method")

_PROMPTS = {"/v1/completions": "prompt", "/v1/chat/completions": "messages"}
# A job's field by what the body calls it where that is something else. Fields of the same name are
# OpenAI's or extensions that servers share.
_FIELDS = {"n": "num_samples", "max_completion_tokens": "max_tokens"} | {
    name: name for name in PARAMETERS if name != "num_samples"
}
_IGNORED = IGNORED_FIELDS | {"model"}
# The only value, beside null, that asks for what a run does anyway.
_NEUTRAL: dict[str, object] = {"stream": False, "best_of": 1, "echo": False}


def is_batch_line(record: Mapping[str, Any]) -> bool:
    return record.get(ID) is not None and record.get("body") is not None


def read_batch_line(record: Mapping[str, Any], run: Mapping[str, Any]) -> LineRequest:
    """`run`: the run's own parameters, which say what there are columns for.

    Raises LineError for a body that asks for something else, naming the field. Nothing that would
    change a row is ignored. What the body leaves out, temperature and n also, is the run's, not
    OpenAI's default.
    """
    body = record["body"]
    if not isinstance(body, Mapping):
        raise LineError(f"body: {brief(body)} is not allowed; it must be an object")
    method = record.get("method")
    if method not in (None, "POST"):
        raise LineError(f"method: {brief(method)} is not allowed; it must be POST")
    given = {name: value for name, value in body.items() if value is not None}
    prompt_name = _prompt_name(record.get("url"), given)
    parameters: dict[str, Any] = {}
    names = {"prompt_tokens": f"body.{prompt_name}"}
    for name, value in given.items():
        if name == prompt_name or name in _IGNORED:
            continue
        if name in ("logprobs", "top_logprobs"):
            _check_columns(name, value, run)
            continue
        field, value = _parameter(name, value)
        if field is not None:
            if parameters.get(field, value) != value:
                raise LineError(f"body.{name}: differs from {names[field]}; give one of them")
            parameters[field] = value
            names[field] = f"body.{name}"
    prompt = given[prompt_name]
    if prompt_name == "prompt":
        prompt = _only_prompt(prompt)
    return LineRequest(prompt=prompt, parameters=parameters, names=names)


def _parameter(name: str, value: Any) -> tuple[str | None, Any]:
    """The job's field and its value; None where the run does so anyway."""
    if name == "response_format":
        try:
            schema = response_schema(value)
        except InvalidJobError as error:
            raise LineError(f"body.{error}") from error
        return (None if schema is None else "json_schema"), schema
    if name not in _FIELDS:
        _check_neutral(name, value)
        return None, None
    if name == "stop" and isinstance(value, str):
        return name, [value]
    if name == "logit_bias" and isinstance(value, Mapping):
        # Parquet gives every line all tokens that some line has.
        return name, {token: bias for token, bias in value.items() if bias is not None}
    return _FIELDS[name], value


def _check_columns(name: str, value: object, run: Mapping[str, Any]) -> None:
    """Raises LineError for logprobs that the run has no columns for.

    A chat asks for them by true and for so many top ones beside; other requests by how many.
    """
    has, most = run.get("logprobs", False), run.get("top_logprobs", 0)
    if name == "logprobs" and isinstance(value, bool):
        is_there = has or not value
    else:
        is_there = has and type(value) is int and 0 <= value <= most
    if not is_there:
        limit = f"at most the run's top_logprobs, {most}" if has else "false: the run has none"
        raise LineError(f"body.{name}: {brief(value)} is not supported; it must be {limit}")


def _prompt_name(url: object, given: Mapping[str, Any]) -> str:
    """Which field of the body holds the prompt, and is there."""
    if url is not None and not (isinstance(url, str) and url in _PROMPTS):
        raise LineError(f"url: {brief(url)} is not allowed; it must be {' or '.join(_PROMPTS)}")
    wanted = list(_PROMPTS.values()) if url is None else [_PROMPTS[url]]
    found = [name for name in wanted if name in given]
    if len(found) != 1:
        number = "both" if found else "none"
        raise LineError(f"body: has {number} of {' and '.join(wanted)}; it must have one")
    return found[0]


def _only_prompt(prompt: object) -> object:
    """Text or token IDs; a list of one such is that one."""
    if not isinstance(prompt, list) or not prompt or not isinstance(prompt[0], str | list):
        return prompt
    if len(prompt) > 1:
        raise LineError(f"body.prompt: holds {len(prompt)} prompts; a line may have one")
    return prompt[0]


def _check_neutral(name: str, value: object) -> None:
    if name not in _NEUTRAL:
        raise LineError(f"body.{name[:80]}: is not supported")
    neutral = _NEUTRAL[name]
    # True is 1 to Python, and logprobs 0 asks for something where False does not.
    if isinstance(value, bool) is not isinstance(neutral, bool) or value != neutral:
        shown = str(neutral).lower()
        raise LineError(f"body.{name}: {brief(value)} is not supported; it must be {shown}")
