"""What the OpenAPI document shows."""

from __future__ import annotations

from typing import Any

COMPLETIONS: tuple[dict[str, Any], ...] = (
    {"prompt": "What is 6*7?", "n": 4, "seed": 7, "max_tokens": 32},
    {"prompt": [256, 54, 42, 55, 61], "seed": 7, "max_tokens": 8, "return_token_ids": True},
)
CHATS: tuple[dict[str, Any], ...] = (
    {"messages": [{"role": "user", "content": "What is 6*7?"}], "n": 2, "seed": 7},
    {"messages": [{"role": "user", "content": "What is 6*7?"}], "stream": True},
)
"""Requests, but for the model."""
_USAGE = {"prompt_tokens": 13, "completion_tokens": 9, "total_tokens": 22}
_ORIGIN = {
    "usage": _USAGE,
    "system_fingerprint": "9d3c0f6a2b7e4d51889e0c6f35a1d2b47c90e8f31a5b6d7c2e4f80913a6b5c7d",
    "seed": 7,
    "reproducible": True,
}
_HEAD = {"created": 1767225600, "model": "demo"}
COMPLETION_ANSWER: dict[str, Any] = {
    "text": {
        "value": {
            "id": "cmpl-0f8fad5bd9cb469fa16570867728950e",
            "object": "text_completion",
            **_HEAD,
            "choices": [
                {"index": 0, "text": " It is 42.", "logprobs": None, "finish_reason": "stop"}
            ],
            **_ORIGIN,
        }
    }
}
CHAT_ANSWER: dict[str, Any] = {
    "question": {
        "value": {
            "id": "chatcmpl-0f8fad5bd9cb469fa16570867728950e",
            "object": "chat.completion",
            **_HEAD,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "It is 42.", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            **_ORIGIN,
        }
    }
}
A_MODEL: dict[str, Any] = {
    "id": "demo",
    "object": "model",
    "created": 1767225600,
    "owned_by": "rowmill",
    "max_model_len": 512,
}
EVENTS = """\
data: {"id":"...","object":"...","created":1767225600,"model":"demo","choices":[...]}

data: [DONE]

"""
