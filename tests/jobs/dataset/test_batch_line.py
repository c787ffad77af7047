"""Lines of OpenAI's batch format are read, and nothing that they ask for is ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import GenerateJob
from jobs.dataset.inputs import Input
from tests.jobs.dataset.files import write_records
from tests.jobs.dataset.readers import TOKENIZER, input_of, outcomes, reader, reason_of
from vocab.conversation import render_messages

BOS = TOKENIZER.get_bos_token_id()
MESSAGES = [{"role": "user", "content": "u"}]
CHAT_URL, TEXT_URL = "/v1/chat/completions", "/v1/completions"


def batch(body: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"custom_id": "r-1", "body": body, **more}


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        (batch({"prompt": "a"}), [BOS, 97]),
        (batch({"prompt": ["a"]}, url=TEXT_URL, method="POST"), [BOS, 97]),
        (batch({"prompt": [1, 2]}), [1, 2]),
        (batch({"prompt": [[1, 2]], "messages": None}), [1, 2]),
        (batch({"messages": MESSAGES}, url=CHAT_URL), render_messages(MESSAGES, TOKENIZER)),
        (batch({"messages": MESSAGES}, prompt=None), render_messages(MESSAGES, TOKENIZER)),
    ],
)
def test_the_body_holds_the_prompt(tmp_path: Path, line: dict[str, Any], tokens: list[int]) -> None:
    got = input_of(tmp_path, line)
    assert got.id == "r-1"
    assert list(got.job.prompt_tokens) == tokens


def test_the_body_holds_the_parameters(tmp_path: Path) -> None:
    body = {"n": 3, "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 4}
    extensions = {"top_k": 5, "min_p": 0.1, "max_tokens": 9, "model": "m", "user": "u"}
    extensions |= {"min_tokens": 2, "repetition_penalty": 1.5, "stop_token_ids": [7]}
    neutral = {"stream": False, "best_of": 1, "echo": False, "logprobs": False, "tools": None}
    body |= {"presence_penalty": 0.5, "frequency_penalty": -1, "stop": "x"}
    body |= {"logit_bias": {"5": 1, "3": -100, "4": None}}
    job = input_of(tmp_path, batch({"prompt": [1], **body, **extensions, **neutral})).job
    assert job == GenerateJob(
        prompt_tokens=(1,),
        num_samples=3,
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        seed=4,
        top_k=5,
        min_p=0.1,
        min_tokens=2,
        repetition_penalty=1.5,
        stop_token_ids=(7,),
        presence_penalty=0.5,
        frequency_penalty=-1.0,
        stop=("x",),
        logit_bias=((3, -100.0), (5, 1.0)),
    )


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"schema": json.dumps(SCHEMA)}}, SCHEMA),
    ],
)
def test_a_response_format_is_a_schema(tmp_path: Path, wanted: Any, schema: Any) -> None:
    job = input_of(tmp_path, batch({"prompt": [1], "response_format": wanted})).job
    assert (None if job.json_schema is None else json.loads(job.json_schema)) == schema


@pytest.mark.parametrize(
    "body",
    [{"logprobs": True}, {"logprobs": True, "top_logprobs": 2}, {"logprobs": 3}, {"logprobs": 0}],
)
def test_logprobs_may_be_asked_for_where_the_run_has_them(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    line = batch({"prompt": [1], **body})
    defaults = {"logprobs": True, "top_logprobs": 3}
    assert input_of(tmp_path, line, defaults=defaults).job.top_logprobs == 3
    more = batch({"prompt": [1], **body, "top_logprobs": 4})
    assert "at most the run's top_logprobs, 3" in reason_of(tmp_path, more, defaults=defaults)
    assert "it must be false: the run has none" in reason_of(tmp_path, line)


def test_what_the_body_leaves_out_is_the_runs(tmp_path: Path) -> None:
    defaults = {"num_samples": 8, "temperature": 0.25}
    job = input_of(tmp_path, batch({"prompt": [1], "n": None}), defaults=defaults).job
    assert (job.num_samples, job.temperature) == (8, 0.25)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "body: has none of prompt and messages"),
        ({"prompt": "a", "messages": MESSAGES}, "body: has both of prompt and messages"),
        ({"prompt": ["a", "b"]}, "body.prompt: holds 2 prompts"),
        ({"prompt": [[1], [2]]}, "body.prompt: holds 2 prompts"),
        ({"prompt": []}, "body.prompt: is empty"),
        ({"prompt": 1}, "body.prompt: 1 is not allowed"),
        ({"prompt": [-1]}, "body.prompt: -1 at index 0"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "body.messages: message 0: its role"),
        ({"prompt": "a", "n": 0}, "body.n: 0 is not allowed"),
        ({"prompt": "a", "max_completion_tokens": 0}, "body.max_completion_tokens: 0"),
        ({"prompt": "a", "max_tokens": 1, "max_completion_tokens": 2}, "differs from body.max_tok"),
        ({"prompt": "a", "stream": True}, "body.stream: True is not supported; it must be false"),
        ({"prompt": "a", "best_of": 2}, "body.best_of: 2 is not supported; it must be 1"),
        ({"prompt": "a", "best_of": True}, "body.best_of: True"),
        ({"prompt": "a", "logprobs": 0}, "body.logprobs: 0"),
        ({"prompt": "a", "echo": True}, "body.echo: True"),
        ({"prompt": "a", "presence_penalty": 2.5}, "body.presence_penalty: 2.5"),
        ({"prompt": "a", "stop": [""]}, "body.stop: '' at index 0"),
        ({"prompt": "a", "stop": 5}, "body.stop: 5"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "body.logit_bias: 'x' at index 0"),
        ({"prompt": "a", "response_format": {"type": "json_schema"}}, "body.response_format: "),
        ({"prompt": "a", "response_format": "json"}, "body.response_format: 'json'"),
        (
            {"prompt": "a", "response_format": {"type": "json_object"}, "json_schema": "{}"},
            "body.json_schema: differs from body.response_format",
        ),
        (
            {"prompt": "a", "response_format": {"type": "json_object"}, "min_tokens": 1},
            "body.min_tokens: 1",
        ),
        ({"prompt": "a", "logprobs": "yes"}, "body.logprobs: 'yes'"),
        ({"prompt": "a", "suffix": "x"}, "body.suffix: is not supported"),
        ({"messages": MESSAGES, "tools": [{}]}, "body.tools: is not supported"),
    ],
)
def test_what_can_not_be_done_names_its_field(
    tmp_path: Path, body: dict[str, Any], reason: str
) -> None:
    assert reason in reason_of(tmp_path, batch(body))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (batch({"prompt": "a"}, url="/v1/embeddings"), "url: '/v1/embeddings' is not allowed"),
        (batch({"prompt": "a"}, url=["a"]), "url: ['a'] is not allowed"),
        (batch({"prompt": "a"}, url=CHAT_URL), "body: has none of messages"),
        (batch({"messages": MESSAGES}, url=TEXT_URL), "body: has none of prompt"),
        (batch({"prompt": "a"}, method="GET"), "method: 'GET' is not allowed"),
        ({"custom_id": "a", "body": "b"}, "body: 'b' is not allowed"),
        ({"custom_id": 1.5, "body": {"prompt": "a"}}, "custom_id: 1.5 is not allowed"),
        ({"body": {"prompt": "a"}}, "no batch request"),
    ],
)
def test_another_request_is_a_bad_line(tmp_path: Path, line: dict[str, Any], reason: str) -> None:
    assert reason in reason_of(tmp_path, line)


def test_a_prompt_column_turns_the_format_off(tmp_path: Path) -> None:
    line = batch({"prompt": "a"}, text=[5])
    assert input_of(tmp_path, line, prompt_column="text").job.prompt_tokens == (5,)


def test_batch_lines_may_come_in_parquet(tmp_path: Path) -> None:
    lines = [batch({"prompt": "a", "n": 2}), batch({"prompt": "b", "stop": None})]
    path = write_records(tmp_path / "a.parquet", lines)
    read = outcomes([path], reader())
    assert [outcome.id for outcome in read] == ["r-1", "r-1"]
    jobs = [outcome.job for outcome in read if isinstance(outcome, Input)]
    assert jobs == [input_of(tmp_path, line).job for line in lines]
