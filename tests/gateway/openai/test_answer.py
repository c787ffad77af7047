"""Answers are made of requests and rows alone: no server is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ApiError
from gateway.openai.answer import Answer
from gateway.openai.asked import Served
from gateway.openai.chat_format import ChatFormat
from gateway.openai.chat_request import ChatRequest, read_chat
from gateway.openai.completion_format import CompletionFormat
from gateway.openai.completion_request import CompletionRequest, read_completion
from jobs import Row, RowDelta, SampledRows
from jobs.openai_fields import IGNORED_FIELDS
from vocab import ByteTokenizer, load_tokenizer

SERVED = Served("demo", ByteTokenizer())
BODY: dict[str, Any] = {"model": "demo", "prompt": "hi", "seed": 1}
SMILE = "\U0001f600".encode()


def answer_to(body: dict[str, Any], served: Served = SERVED) -> Answer:
    asked = read_completion(body, served)
    return Answer(served, asked, CompletionFormat, key="k", created=0)


def row_of(tokens: bytes | tuple[int, ...], **fields: Any) -> Row:
    return Row(tokens=tuple(tokens), masks=(1,) * len(tokens), finish_reason="length", **fields)


def deltas_of(row: Row, cuts: list[int]) -> list[RowDelta]:
    """The row as a stream may tell it, cut at these tokens."""
    bounds = [0, *sorted(cut % (len(row.tokens) + 1) for cut in cuts), len(row.tokens)]
    num_top = row.num_top
    parts = []
    for start, end in pairwise(bounds):
        top = slice(start * num_top, end * num_top)
        parts.append(
            RowDelta(
                row=0,
                start=start,
                tokens=row.tokens[start:end],
                masks=row.masks[start:end],
                logprobs=None if row.logprobs is None else row.logprobs[start:end],
                top_tokens=None if row.top_tokens is None else row.top_tokens[top],
                top_logprobs=None if row.top_logprobs is None else row.top_logprobs[top],
            )
        )
    ending = RowDelta(row=0, start=bounds[-1], finish_reason=row.finish_reason, text=row.text)
    return [*parts, ending]


def joined(lists: Iterable[list[Any]]) -> list[Any]:
    return [*chain.from_iterable(lists)]


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=6), st.booleans())
def test_a_stream_comes_to_the_whole_answer_however_it_is_cut(
    data: bytes, cuts: list[int], has_logprobs: bool
) -> None:
    fields: dict[str, Any] = {}
    if has_logprobs:
        logprobs = tuple(-1.0 - number for number in range(len(data)))
        fields = {"logprobs": logprobs, "top_tokens": tuple(data), "top_logprobs": logprobs}
    row = row_of(data, **fields)
    body = BODY | {"return_token_ids": True} | ({"logprobs": 1} if has_logprobs else {})
    (whole,) = answer_to(body).whole([SampledRows(rows=(row,))])["choices"]
    streamed = answer_to(body | {"stream": True})
    parts = [
        chunk["choices"][0] for delta in deltas_of(row, cuts) for chunk in streamed.chunks(0, delta)
    ]
    assert "".join(part["text"] for part in parts) == whole["text"]
    assert whole["text"] == data.decode("utf-8", "replace")
    assert joined(part["token_ids"] for part in parts) == whole["token_ids"] == [*data]
    assert [part["finish_reason"] for part in parts][-1] == "length"
    told = [part["logprobs"] for part in parts if part["logprobs"] is not None]
    assert (whole["logprobs"] is not None) is has_logprobs
    for name in whole["logprobs"] or ():
        assert joined(part[name] for part in told) == whole["logprobs"][name]


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 7))
def test_a_stream_with_a_stop_string_ends_as_the_rows_own_text(
    cuts: list[int], num_kept: int
) -> None:
    """Which may go on in a token that is left out."""
    data = b"a " + SMILE + b"b"
    text = data.decode()
    row = row_of(data[:num_kept], text=text)
    streamed = answer_to(BODY | {"stop": ["xyz"], "stream": True})
    parts = [
        chunk["choices"][0]["text"]
        for delta in deltas_of(row, cuts)
        for chunk in streamed.chunks(0, delta)
    ]
    assert "".join(parts) == text


def test_a_part_of_a_character_is_told_by_its_bytes() -> None:
    logprobs = (-1.0,) * len(SMILE)
    row = row_of(SMILE, logprobs=logprobs, top_tokens=tuple(SMILE), top_logprobs=logprobs)
    (choice,) = answer_to(BODY | {"logprobs": 1}).whole([SampledRows(rows=(row,))])["choices"]
    assert choice["text"] == SMILE.decode()
    assert choice["logprobs"]["tokens"] == [f"bytes:\\x{byte:02x}" for byte in SMILE]
    assert choice["logprobs"]["text_offset"] == [0, 0, 0, 0]
    asked = read_chat(
        {"model": "demo", "messages": [{"role": "user", "content": "a"}], "logprobs": True}, SERVED
    )
    answer = Answer(SERVED, asked, ChatFormat, key="k", created=0)
    (choice,) = answer.whole([SampledRows(rows=(row,))])["choices"]
    assert b"".join(bytes(entry["bytes"]) for entry in choice["logprobs"]["content"]) == SMILE


def test_without_a_tokenizer_rows_are_told_as_tokens() -> None:
    served = Served("demo", None)
    body = BODY | {"prompt": [1, 2], "return_token_ids": True, "logprobs": 0}
    row = row_of((5, 6), logprobs=(-1.0, -2.0))
    (choice,) = answer_to(body, served).whole([SampledRows(rows=(row,))])["choices"]
    assert (choice["text"], choice["token_ids"], choice["masks"]) == ("", [5, 6], [1, 1])
    assert choice["logprobs"]["tokens"] == ["token_id:5", "token_id:6"]
    for wrong in ({"prompt": "hi"}, {"return_token_ids": False}, {"echo": True}):
        with pytest.raises(ApiError, match="no tokenizer") as caught:
            read_completion(body | wrong, served)
        assert caught.value.param == next(iter(wrong))


def test_a_models_own_chat_format_is_used() -> None:
    pytest.importorskip("tokenizers")
    from tests.vocab.hf_folder import write_tokenizer

    folder = Path(tempfile.mkdtemp())
    served = Served("m", load_tokenizer(str(write_tokenizer(folder))))
    assert served.tokenizer is not None
    messages = [{"role": "user", "content": [{"type": "text", "text": "he"}]}]
    asked = read_chat({"model": "m", "messages": messages}, served)
    rendered = served.tokenizer.render([{"role": "user", "content": "he"}])  # type: ignore[attr-defined]
    assert [*asked.jobs[0].prompt_tokens] == rendered
    bare = Served("m", load_tokenizer(str(write_tokenizer(folder, template=None))))
    with pytest.raises(ApiError, match="no chat template") as caught:
        read_chat({"model": "m", "messages": messages}, bare)
    assert caught.value.status == 400


def test_a_model_without_a_chat_format_has_no_chats() -> None:
    served = Served("m", ByteTokenizer(special_tokens=["<|bos|>"]))
    with pytest.raises(ApiError, match="no chat format") as caught:
        read_chat({"model": "m", "messages": [{"role": "user", "content": "a"}]}, served)
    assert (caught.value.status, caught.value.param) == (400, "model")


def test_what_is_ignored_is_documented() -> None:
    for request in (CompletionRequest, ChatRequest):
        ignored = {
            name for name, field in request.model_fields.items() if field.description == "Ignored."
        }
        assert ignored - {"parallel_tool_calls"} == IGNORED_FIELDS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([*CompletionRequest.model_fields, *ChatRequest.model_fields]) | st.text()


@given(st.dictionaries(names, json_values, max_size=4), st.booleans())
def test_any_body_gives_jobs_or_an_error_that_names_a_field(
    body: dict[str, Any], is_chat: bool
) -> None:
    messages = [{"role": "user", "content": "a"}]
    read, base = (read_chat, {"messages": messages}) if is_chat else (read_completion, BODY)
    try:
        assert read({"model": "demo"} | base | body, SERVED).jobs
    except ApiError as error:
        assert error.status in (400, 404) and error.param
