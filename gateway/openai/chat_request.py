"""Requests for the next message of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gateway.errors import ApiError, api_error
from gateway.openai.asked import Asked, Served
from gateway.openai.sampling_request import SamplingRequest, job_field, jobs_of
from jobs import InvalidJobError
from jobs.errors import brief
from vocab import ConversationError
from vocab.conversation import render_messages

MAX_TOP_LOGPROBS = 20
_ASSISTANT = "assistant"
_OWN_PARTS = frozenset({"text", "python", "python_output"})
"""Of the assistant's messages in nanochat's format."""


class ChatRequest(SamplingRequest):
    """What is asked of /v1/chat/completions."""

    messages: list[Any] = Field(description="a list of messages, objects with role and content")
    max_completion_tokens: int | None = job_field("max_tokens")
    logprobs: bool | None = Field(default=None, description="true or false")
    top_logprobs: int | None = Field(
        default=None,
        ge=0,
        le=MAX_TOP_LOGPROBS,
        description=f"an integer from 0 to {MAX_TOP_LOGPROBS}",
    )
    tools: list[Any] | None = Field(
        default=None, max_length=0, description="left out: tools are not called by their names"
    )
    tool_choice: Any = Field(default=None, description="none, auto, or left out")
    parallel_tool_calls: Any = Field(default=None, description="Ignored.")
    modalities: list[str] | None = Field(default=None, description='["text"], or left out')


def read_chat(body: object, served: Served) -> Asked:
    """What a body asks for. Raises ApiError, which names the field."""
    request = ChatRequest.parse(body)
    request.check_served(served)
    has_usage_chunk = request.has_usage_chunk
    _check(request)
    if served.tokenizer is None:
        raise ApiError(400, "this gateway has no tokenizer, which chats need", param="model")
    tokens = _rendered(request.messages, served)
    names = {"prompt_tokens": "messages", "top_logprobs": "top_logprobs"}
    if request.max_completion_tokens is not None:
        names["max_tokens"] = "max_completion_tokens"
    jobs, names_, seed = jobs_of(request, [tokens], _fields(request), names)
    return Asked(
        model=request.model,
        jobs=jobs,
        names=names_,
        seed=seed,
        num_choices=jobs[0].num_samples,
        is_stream=bool(request.stream),
        has_usage_chunk=has_usage_chunk,
        has_token_ids=bool(request.return_token_ids),
    )


def _check(request: ChatRequest) -> None:
    """What goes together, and what asks for nothing. Raises ApiError."""
    most = request.max_completion_tokens
    if most is not None and request.max_tokens not in (None, most):
        raise api_error(
            InvalidJobError(
                "max_tokens", str(request.max_tokens), f"{most}, as max_completion_tokens"
            )
        )
    if request.tool_choice not in (None, "none", "auto"):
        limit = "none, auto, or left out"
        raise api_error(InvalidJobError("tool_choice", brief(request.tool_choice), limit))
    if request.modalities not in (None, ["text"]):
        raise api_error(InvalidJobError("modalities", brief(request.modalities), '["text"]'))


def _fields(request: ChatRequest) -> Mapping[str, Any]:
    fields: dict[str, Any] = {}
    if request.max_completion_tokens is not None:
        fields["max_tokens"] = request.max_completion_tokens
    if request.logprobs:
        fields["logprobs"] = True
    if request.top_logprobs is not None:
        fields["top_logprobs"] = request.top_logprobs
    return fields


def _rendered(messages: list[Any], served: Served) -> list[int]:
    """The tokens of a conversation. Raises ApiError, which names the message."""
    assert served.tokenizer is not None
    plain = [_plain(message, f"messages[{index}]") for index, message in enumerate(messages)]
    try:
        return render_messages(plain, served.tokenizer)
    except KeyError as error:
        text = f"{served.model!r} has no chat format: its tokenizer has no {error}"
        raise ApiError(400, text, param="model") from error
    except ConversationError as error:
        index = error.index
        is_one = index is not None and index < len(messages)
        param = f"messages[{index}]" if is_one else "messages"
        raise ApiError(400, f"{param}: {error.reason}", param=param) from error


def _plain(message: Any, place: str) -> Any:
    """A message whose content is one text, where it was a list of texts."""
    if not isinstance(message, Mapping):
        return message
    plain = dict(message)
    if plain.get("role") == "developer":  # OpenAI's newer name for it
        plain["role"] = "system"
    content = plain.get("content")
    if isinstance(content, list):
        kinds = _OWN_PARTS if plain.get("role") == _ASSISTANT else frozenset({"text"})
        for index, part in enumerate(content):
            _check_part(part, kinds, f"{place}.content[{index}]")
        if all(part["type"] == "text" for part in content):
            plain["content"] = "".join(part["text"] for part in content)
    elif not isinstance(content, str):
        name = f"{place}.content"
        limit = "a string or a list of parts of type text"
        raise api_error(InvalidJobError(name, brief(content), limit))
    return plain


def _check_part(part: Any, kinds: frozenset[str], place: str) -> None:
    is_mapping = isinstance(part, Mapping)
    kind = part.get("type") if is_mapping else part
    if not is_mapping or not isinstance(kind, str) or kind not in kinds:
        limit = "of type text, with its text as a string"
        raise api_error(InvalidJobError(place, f"a part of type {brief(kind)}", limit))
    if not isinstance(part.get("text"), str):
        limit = "a part with a string as its text"
        raise api_error(InvalidJobError(place, brief(part.get("text")), limit))
