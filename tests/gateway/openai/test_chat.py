"""Chats, as OpenAI's own client asks for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from jobs import Client
from tests.gateway.openai.conftest import Service
from vocab import ByteTokenizer
from vocab.conversation import render_messages

TOKENIZER = ByteTokenizer()
MESSAGES: list[Any] = [{"role": "user", "content": "What is 12 + 30?"}]
ASKED: dict[str, Any] = {"model": "demo", "messages": MESSAGES, "seed": 3, "max_tokens": 96}


def test_rows_are_those_of_the_client(theirs: openai.OpenAI, ours: Client) -> None:
    answer = theirs.chat.completions.create(**ASKED, n=2)
    job_id = ours.submit(
        prompt_tokens=render_messages(MESSAGES, TOKENIZER), seed=3, num_samples=2, max_tokens=96
    )
    expected = [TOKENIZER.decode(row.tokens) for row in ours.result(job_id, 60).rows]
    assert [choice.message.content for choice in answer.choices] == expected
    assert {choice.message.role for choice in answer.choices} == {"assistant"}
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop" and "42" in expected[0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "logprobs": True, "top_logprobs": 2, "temperature": 2.0},
        {"stop": "4"},
        {"response_format": {"type": "json_object"}, "max_tokens": 12},
    ],
)
def test_a_stream_is_the_whole_answer_in_pieces(theirs: openai.OpenAI, fields: Any) -> None:
    whole = theirs.chat.completions.create(**ASKED | fields)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = theirs.chat.completions.create(**ASKED | fields | options)
    assert last.choices == [] and last.usage == whole.usage
    for choice in whole.choices:
        parts = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == choice.index]
        assert parts[0].delta.role == "assistant" and parts[0].delta.content == ""
        assert not any(part.delta.role for part in parts[1:])
        assert "".join(part.delta.content or "" for part in parts) == choice.message.content
        assert [part.finish_reason for part in parts if part.finish_reason] == [
            choice.finish_reason
        ]
        said = [entry for part in parts if part.logprobs for entry in part.logprobs.content or ()]
        assert said == ((choice.logprobs and choice.logprobs.content) or [])


def test_logprobs_are_told_as_openai_does(theirs: openai.OpenAI) -> None:
    (choice,) = theirs.chat.completions.create(**ASKED, logprobs=True, top_logprobs=3).choices
    assert choice.logprobs is not None and choice.logprobs.content is not None
    told = b"".join(bytes(entry.bytes or ()) for entry in choice.logprobs.content)
    assert told.decode() == choice.message.content
    for entry in choice.logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob <= entry.top_logprobs[0].logprob


def test_a_conversation_goes_on(theirs: openai.OpenAI) -> None:
    """Content may be parts; the developer is the system by another name."""
    plain = [
        {"role": "system", "content": "Be brief."},
        *MESSAGES,
        {"role": "assistant", "content": "42"},
        {"role": "user", "content": "And 1+1?"},
    ]
    parts = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        *MESSAGES,
        {"role": "assistant", "content": [{"type": "text", "text": "42"}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "1+1?"}],
        },
    ]
    answers = [
        theirs.chat.completions.create(**ASKED | {"messages": messages})
        for messages in (plain, parts)
    ]
    assert answers[0].choices == answers[1].choices


def test_a_schema_is_kept_to(theirs: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer", "minimum": 10, "maximum": 99}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    (choice,) = theirs.chat.completions.create(**ASKED, response_format=wanted).choices
    content = choice.message.content
    assert content is not None and content.replace(" ", "").startswith('{"sum":')
    assert choice.finish_reason == "stop"


IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {}}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0]"),
        ({"messages": [*MESSAGES, *MESSAGES]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "messages[0]"),
        ({"tools": [TOOL]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 0}, "n"),
        ({"max_completion_tokens": 0, "max_tokens": None}, "max_completion_tokens"),
        ({"max_completion_tokens": 5}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"extra_body": {"prompt": "a"}}, "prompt"),
    ],
)
def test_a_bad_field_is_named(theirs: openai.OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        theirs.chat.completions.create(**ASKED | fields)
    assert caught.value.param == param and param in caught.value.message


def test_the_example_prints_what_was_asked_for(service: Service, theirs: openai.OpenAI) -> None:
    script = Path(__file__).parents[3] / "examples" / "openai_client.py"
    command = [sys.executable, str(script), "--url", f"{service.http}/v1", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    choices = theirs.chat.completions.create(**ASKED, n=4).choices
    expected = [f"{choice.index}  {choice.message.content}" for choice in choices]
    assert done.stdout.splitlines() == expected, done.stderr
