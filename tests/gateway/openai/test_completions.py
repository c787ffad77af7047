"""Completions, as OpenAI's own client asks for them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion

from jobs import Client
from jobs.connection import open_connection
from jobs.dataset.seeds import derive_seed
from tests.gateway.openai.conftest import Service
from vocab import ByteTokenizer
from vocab.conversation import render_question, render_text

TOKENIZER = ByteTokenizer()
PROMPT = "What is 12 + 30?"
ASKED: dict[str, Any] = {"model": "demo", "prompt": PROMPT, "seed": 7, "max_tokens": 24}


def rows_of(client: Client, prompt: list[int], **fields: Any) -> list[tuple[int, ...]]:
    """The rows that the client gets without a gateway."""
    job_id = client.submit(prompt_tokens=prompt, **fields)
    return [row.tokens for row in client.result(job_id, 60).rows]


def test_rows_are_those_of_the_client(theirs: openai.OpenAI, ours: Client) -> None:
    answer = theirs.completions.create(**ASKED, n=3, extra_body={"return_token_ids": True})
    expected = rows_of(ours, render_text(PROMPT, TOKENIZER), seed=7, num_samples=3, max_tokens=24)
    assert [tuple(choice.token_ids) for choice in answer.choices] == expected  # type: ignore[attr-defined]
    assert [choice.text for choice in answer.choices] == [*map(TOKENIZER.decode, expected)]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.id.startswith("cmpl-") and answer.object == "text_completion"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(PROMPT) + 1
    assert answer.usage.completion_tokens == sum(map(len, expected))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.system_fingerprint and len(answer.system_fingerprint) == 64
    assert answer.reproducible is True and answer.seed == 7  # type: ignore[attr-defined]


def test_jobs_are_kept_for_less_long_than_those_that_nobody_waits_for(
    theirs: openai.OpenAI, service: Service
) -> None:
    answer = theirs.completions.create(model="demo", prompt="2+2", max_tokens=4)
    with open_connection(service.url) as connection:
        left: Any = connection.ttl(f"rq:job:{answer.id.removeprefix('cmpl-')}")
        rows: Any = connection.ttl(f"rq:results:{answer.id.removeprefix('cmpl-')}")
    assert 0 < left <= 3600 and 0 < rows <= 3600


def test_a_request_without_a_seed_is_told_the_one_that_repeats_it(theirs: openai.OpenAI) -> None:
    asked = {"model": "demo", "prompt": PROMPT, "temperature": 2.0}
    first, other = theirs.completions.create(**asked), theirs.completions.create(**asked)
    assert first.seed != other.seed  # type: ignore[attr-defined]
    again = theirs.completions.create(**asked, seed=first.seed)  # type: ignore[attr-defined]
    assert again.choices == first.choices
    assert first.usage is not None and first.usage.completion_tokens <= 16


def test_several_prompts_have_seeds_of_their_own(theirs: openai.OpenAI, ours: Client) -> None:
    prompts = [render_question("What is 1+2?", TOKENIZER), render_text("hi", TOKENIZER)]
    extra = {"return_token_ids": True}
    asked = ASKED | {"prompt": prompts, "n": 2}
    answer = theirs.completions.create(**asked, extra_body=extra)
    expected = []
    for index, prompt in enumerate(prompts):
        seed = derive_seed(7, index, None) if index else 7
        expected += rows_of(ours, prompt, seed=seed, num_samples=2, max_tokens=24)
    assert [tuple(choice.token_ids) for choice in answer.choices] == expected  # type: ignore[attr-defined]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(map(len, prompts))


@pytest.mark.parametrize("prompt", ["a", ["a"], [256, 97], [[256, 97]]])
def test_a_prompt_is_text_or_tokens(theirs: openai.OpenAI, prompt: Any) -> None:
    answer = theirs.completions.create(**ASKED | {"prompt": prompt})
    assert answer.choices == theirs.completions.create(**ASKED | {"prompt": "a"}).choices


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "logprobs": 2},
        {"prompt": ["hi", PROMPT], "n": 2, "echo": True},
        {"stop": ["4", "\n"]},
        {"extra_body": {"return_token_ids": True}, "temperature": 8.0, "max_tokens": 64},
    ],
)
def test_a_stream_is_the_whole_answer_in_pieces(theirs: openai.OpenAI, fields: Any) -> None:
    whole = theirs.completions.create(**ASKED | fields)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [*theirs.completions.create(**ASKED | fields | options)]
    *parts, last = chunks
    assert last.choices == [] and last.usage == whole.usage
    assert last.system_fingerprint == whole.system_fingerprint
    assert {chunk.id for chunk in chunks} == {last.id} and not any(its.usage for its in parts)
    assert joined(parts) == {choice.index: told(choice) for choice in whole.choices}


def told(choice: Any) -> dict[str, Any]:
    """But for what streams alone tell."""
    told: dict[str, Any] = choice.model_dump(exclude={"index", "special_token"}, exclude_none=True)
    return told


def joined(chunks: list[Completion]) -> dict[int, dict[str, Any]]:
    """What the chunks come to: per choice, all strings and lists one behind the other."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        (choice,) = chunk.choices
        its = choices.setdefault(choice.index, {})
        assert "finish_reason" not in its
        for name, value in told(choice).items():
            if name == "logprobs" and name in its:
                its[name] = {each: its[name][each] + value[each] for each in value}
            else:
                its[name] = its[name] + value if name in its else value
    return choices


def test_logprobs_are_told_as_openai_does(theirs: openai.OpenAI, ours: Client) -> None:
    (choice,) = theirs.completions.create(**ASKED, logprobs=2).choices
    prompt = render_text(PROMPT, TOKENIZER)
    job_id = ours.submit(prompt_tokens=prompt, seed=7, max_tokens=24, logprobs=True, top_logprobs=2)
    (row,) = ours.result(job_id, 60).rows
    logprobs = choice.logprobs
    assert logprobs is not None and row.logprobs is not None
    assert logprobs.token_logprobs == [*row.logprobs]
    assert logprobs.tokens is not None and logprobs.text_offset is not None
    for token, offset in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        assert token.startswith("<|") or choice.text[offset:].startswith(token)
    tops = logprobs.top_logprobs
    assert tops is not None and all(2 <= len(top) <= 3 for top in tops)
    assert all(token in top for token, top in zip(logprobs.tokens, tops, strict=True))


def test_an_echo_is_scored(theirs: openai.OpenAI) -> None:
    (choice,) = theirs.completions.create(**ASKED, echo=True, logprobs=0).choices
    assert choice.text.startswith(PROMPT) and choice.logprobs is not None
    tokens, logprobs = choice.logprobs.tokens, choice.logprobs.token_logprobs
    assert tokens is not None and logprobs is not None and choice.logprobs.text_offset is not None
    assert tokens[: len(PROMPT) + 1] == ["<|bos|>", *PROMPT]
    assert logprobs[0] is None and all(logprob <= 0 for logprob in logprobs[1:])
    assert choice.logprobs.text_offset[: len(PROMPT) + 2] == [0, *range(len(PROMPT) + 1)]


def test_text_ends_before_a_stop_string(theirs: openai.OpenAI) -> None:
    text = theirs.completions.create(**ASKED).choices[0].text
    stop = text[3:5]
    (choice,) = theirs.completions.create(**ASKED, stop=stop).choices
    assert choice.text == text[: text.index(stop)] and choice.finish_reason == "stop"


def test_a_structure_is_kept_to(theirs: openai.OpenAI) -> None:
    for extra in ({"structured_outputs": {"regex": "(yes|no)"}}, {"regex": "(yes|no)"}):
        (choice,) = theirs.completions.create(**ASKED, extra_body=extra).choices
        assert choice.text in ("yes", "no") and choice.finish_reason == "stop"


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"n": 0}, "n", "n: 0 is not allowed; it must be an integer from 1 to"),
        ({"n": "a"}, "n", "n: 'a' is not allowed"),
        ({"best_of": 3}, "best_of", "best_of: 3 is not allowed; it must be 1"),
        ({"prompt": []}, "prompt", "prompt: "),
        ({"prompt": ["a", 1]}, "prompt", "prompt: 1 is not allowed"),
        ({"prompt": [1, -1]}, "prompt", "prompt: -1 at index 1 is not allowed"),
        ({"prompt": {}}, "prompt", "prompt: {} is not allowed"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens: 0 is not allowed"),
        ({"temperature": -1}, "temperature", "temperature: "),
        ({"logprobs": 21}, "logprobs", "an integer from 0 to 20"),
        ({"seed": -1}, "seed", "seed: -1 is not allowed"),
        ({"stop": ["a", ""]}, "stop", "stop: '' at index 1 is not allowed"),
        ({"suffix": "a"}, "suffix", "suffix: 'a' is not allowed"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "without stream"),
        ({"extra_body": {"best": 1}}, "best", "best: this field is not allowed"),
        ({"extra_body": {"regex": "a", "grammar": "b"}}, "grammar", "left out beside regex"),
        ({"extra_body": {"response_format": {"type": "x"}}}, "response_format", "of type text"),
        ({"echo": True, "stream": True, "logprobs": 1}, "echo", "echo: True is not allowed"),
    ],
)
def test_a_bad_field_is_named(theirs: openai.OpenAI, fields: Any, param: str, text: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        theirs.completions.create(**ASKED | fields)
    assert caught.value.param == param and text in caught.value.message
    assert caught.value.type == "invalid_request_error"


def test_another_model_is_not_found(theirs: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="demo") as caught:
        theirs.completions.create(**ASKED | {"model": "gpt-5"})
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_what_changes_no_token_is_passed_over(theirs: openai.OpenAI) -> None:
    extra = {"metadata": {"a": "b"}, "store": True, "service_tier": "auto"}
    answer = theirs.completions.create(**ASKED, user="me", extra_body=extra)
    assert answer.choices == theirs.completions.create(**ASKED).choices


def test_many_ask_at_once(service: Service, ours: Client) -> None:
    """Each gets its own rows, streamed or not."""

    async def ask(client: openai.AsyncOpenAI, seed: int) -> str:
        fields = ASKED | {"seed": seed, "temperature": 2.0}
        if seed % 2:
            stream = await client.completions.create(**fields, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])
        return (await client.completions.create(**fields)).choices[0].text

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{service.http}/v1", api_key="none") as client:
            return await asyncio.gather(*(ask(client, seed) for seed in range(16)))

    prompt = render_text(PROMPT, TOKENIZER)
    for seed, text in enumerate(asyncio.run(ask_all())):
        (tokens,) = rows_of(ours, prompt, seed=seed, temperature=2.0, max_tokens=24)
        assert text == TOKENIZER.decode(tokens)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'"a"',
        b"[" * 100_000,
        b'{"model": "demo", "prompt": "\\ud800"}',
        b'{"model": "demo", "prompt": "\xed\xa0\x80"}',
        b'{"model": "demo", "prompt": "a", "temperature": NaN}',
        b'{"model": "demo", "prompt": "a", "seed": 1' + b"0" * 5000 + b"}",
    ],
)
def test_what_is_no_request_is_refused(service: Service, data: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = httpx2.post(f"{service.http}/v1/completions", content=data, headers=headers)
    assert response.status_code == 400
    assert "body" in response.json()["error"]["message"]
