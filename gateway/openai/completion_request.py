"""Requests for completions of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from gateway.errors import api_error
from gateway.openai.asked import Asked, Served
from gateway.openai.sampling_request import SamplingRequest, jobs_of
from jobs import InvalidJobError
from jobs.dataset.prompt import Prompter
from jobs.errors import brief
from vocab import Tokenizer

DEFAULT_MAX_TOKENS = 16
MAX_LOGPROBS = 20
MAX_PROMPTS = 2048

_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_Prompt = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                _TOKENS,
                {"type": "array", "items": _TOKENS},
            ]
        }
    ),
]
_PROMPT_LIMIT = (
    f"text, a list of token IDs, or a list of 1 to {MAX_PROMPTS} such: one choice or more for each"
)


class CompletionRequest(SamplingRequest):
    """What is asked of /v1/completions."""

    prompt: _Prompt = Field(description=_PROMPT_LIMIT)
    max_tokens: int | None = Field(
        default=None,
        description=f"an integer of at least 1, where null is {DEFAULT_MAX_TOKENS}",
    )
    best_of: int | None = Field(default=None, description="n, or left out")
    echo: bool | None = Field(default=None, description="true or false")
    logprobs: int | None = Field(
        default=None, ge=0, le=MAX_LOGPROBS, description=f"an integer from 0 to {MAX_LOGPROBS}"
    )
    suffix: str | None = Field(
        default=None, max_length=0, description="left out: text is sampled at the end alone"
    )


def read_completion(body: object, served: Served) -> Asked:
    """What a body asks for. Raises ApiError, which names the field."""
    request = CompletionRequest.parse(body)
    request.check_served(served)
    has_usage_chunk = request.has_usage_chunk
    _check(request)
    prompts = _prompts(request.prompt)
    try:
        tokens = [_tokens(prompt, served.tokenizer) for prompt in prompts]
    except InvalidJobError as error:
        raise api_error(error) from error
    jobs, names, seed = jobs_of(request, tokens, _fields(request), {"prompt_tokens": "prompt"})
    echoes = tuple(_text(prompt, served.tokenizer) for prompt in prompts) if request.echo else None
    return Asked(
        model=request.model,
        jobs=jobs,
        names=names,
        seed=seed,
        num_choices=jobs[0].num_samples,
        is_stream=bool(request.stream),
        has_usage_chunk=has_usage_chunk,
        has_token_ids=bool(request.return_token_ids),
        echoes=echoes,
    )


def _check(request: CompletionRequest) -> None:
    """What goes together. Raises ApiError."""
    if request.best_of is not None and request.best_of != (request.n or 1):
        limit = f"{request.n or 1}, which is n: rows are not chosen among"
        raise api_error(InvalidJobError("best_of", str(request.best_of), limit))
    if request.echo and request.stream and request.logprobs is not None:
        limit = "false in a stream with logprobs, which does not know those of the prompt"
        raise api_error(InvalidJobError("echo", "True", limit))


def _fields(request: CompletionRequest) -> Mapping[str, Any]:
    fields: dict[str, Any] = {}
    if request.max_tokens is None:
        fields["max_tokens"] = max(DEFAULT_MAX_TOKENS, request.min_tokens or 0)
    if request.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": request.logprobs}
        fields["return_prompt_logprobs"] = bool(request.echo)
    return fields


def _prompts(prompt: object) -> list[Any]:
    """Each one text or a list of tokens. Raises ApiError."""
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise api_error(InvalidJobError("prompt", brief(prompt), _PROMPT_LIMIT))
    if not isinstance(prompt[0], str | list):
        return [prompt]
    if len(prompt) > MAX_PROMPTS:
        raise api_error(InvalidJobError("prompt", f"{len(prompt)} prompts", _PROMPT_LIMIT))
    return prompt


def _tokens(prompt: object, tokenizer: Tokenizer | None) -> Any:
    """Of text or of tokens, which are given back unchecked. Raises InvalidJobError."""
    if isinstance(prompt, str):
        if tokenizer is None:
            limit = "token IDs: this gateway has no tokenizer"
            raise InvalidJobError("prompt", "text", limit)
        return Prompter(tokenizer, is_chat=False).tokens(prompt, "prompt")
    if not isinstance(prompt, list):
        raise InvalidJobError("prompt", brief(prompt), _PROMPT_LIMIT)
    return prompt


def _text(prompt: Any, tokenizer: Tokenizer | None) -> str:
    """A prompt as it is echoed. Raises ApiError for tokens that have no text."""
    if isinstance(prompt, str):
        return prompt
    if tokenizer is None:
        limit = "false: this gateway has no tokenizer"
        raise api_error(InvalidJobError("echo", "True", limit))
    try:
        return tokenizer.decode(prompt)
    except (ValueError, KeyError, OverflowError) as error:
        limit = "of tokens of the model's vocabulary"
        raise api_error(InvalidJobError("prompt", brief(prompt), limit)) from error
