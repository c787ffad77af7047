"""How the OpenAPI document tells of requests: their fields with their limits."""

from __future__ import annotations

from typing import Any

from gateway.openai.chat_request import ChatRequest
from gateway.openai.completion_request import CompletionRequest
from gateway.openai.examples import CHATS, COMPLETIONS, EVENTS
from gateway.openai.sampling_request import SamplingRequest

_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
_MESSAGE = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "examples": ["user"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": _TEXT_PART}]},
    },
    "required": ["role", "content"],
}


def request_schemas(model: str) -> dict[str, Any]:
    """For the document's components. `model`: the one that is served."""
    return {
        request.__name__: _schema(request, [{"model": model, **body} for body in bodies])
        for request, bodies in ((CompletionRequest, COMPLETIONS), (ChatRequest, CHATS))
    }


def request_body(request: type[SamplingRequest], answers: dict[str, Any]) -> dict[str, Any]:
    """What the document says of a route that takes such a request, beside its errors."""
    schema = {"$ref": f"#/components/schemas/{request.__name__}"}
    told = {
        "application/json": {"schema": {"type": "object"}, "examples": answers},
        "text/event-stream": {"schema": {"type": "string"}, "example": EVENTS},
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": {
                "description": "The answer, or with `stream` its chunks as server-sent events.",
                "content": told,
            }
        },
    }


def _schema(request: type[SamplingRequest], examples: list[dict[str, Any]]) -> dict[str, Any]:
    schema = request.model_json_schema() | {"examples": examples}
    properties = schema["properties"]
    properties["model"]["enum"] = [examples[0]["model"]]
    if "messages" in properties:
        properties["messages"] |= {"items": _MESSAGE, "minItems": 1}
    return schema
