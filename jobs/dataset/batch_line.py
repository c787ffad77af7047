"""Lines of OpenAI's batch format: `custom_id` and the `body` of a completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.dataset.errors import LineError
from jobs.dataset.request import LineRequest
from jobs.errors import brief

ID = "custom_id"
COLUMNS = (ID, "body", "url", "method")

_PROMPTS = {"/v1/completions": "prompt", "/v1/chat/completions": "messages"}
# A job's field by what the body calls it. top_k and min_p are extensions that servers share.
_FIELDS = {
    "n": "num_samples",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
}
# These change no token.
_IGNORED = frozenset({"model", "user", "metadata", "store"})
# The only value, beside null, that asks for what a run does anyway.
_NEUTRAL: dict[str, object] = {
    "stream": False,
    "best_of": 1,
    "echo": False,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}


def is_batch_line(record: Mapping[str, Any]) -> bool:
    return record.get(ID) is not None and record.get("body") is not None


def read_batch_line(record: Mapping[str, Any]) -> LineRequest:
    """Raises LineError for a body that asks for something else, naming the field.

    Nothing that would change a row is ignored. What the body leaves out, temperature and n also, is
    the run's, not OpenAI's default.
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
        if name in _FIELDS:
            field = _FIELDS[name]
            if parameters.get(field, value) != value:
                raise LineError(f"body.{name}: differs from {names[field]}; give one of them")
            parameters[field] = value
            names[field] = f"body.{name}"
        elif name != prompt_name and name not in _IGNORED:
            _check_neutral(name, value)
    prompt = given[prompt_name]
    if prompt_name == "prompt":
        prompt = _only_prompt(prompt)
    return LineRequest(prompt=prompt, parameters=parameters, names=names)


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
