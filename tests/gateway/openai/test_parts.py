"""With token IDs a stream is cut so that forced and special tokens can be set apart."""

from __future__ import annotations

from itertools import chain, groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.openai.answer import Answer
from gateway.openai.asked import Served
from gateway.openai.chat_format import ChatFormat
from gateway.openai.chat_request import read_chat
from gateway.openai.completion_format import CompletionFormat
from gateway.openai.completion_request import read_completion
from gateway.openai.parts import parts
from jobs import Row, RowDelta, SampledRows
from tests.gateway.openai.test_answer import deltas_of
from vocab import ByteTokenizer

TOKENIZER = ByteTokenizer()
SERVED = Served("demo", TOKENIZER)
OUTPUT_START = TOKENIZER.encode_special("<|output_start|>")
BODY: dict[str, Any] = {"model": "demo", "seed": 1, "return_token_ids": True, "stream": True}
LOGPROB_FIELDS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")

some_tokens = st.lists(st.tuples(st.integers(0, 264), st.integers(0, 1)), min_size=1, max_size=30)


def _choices(row: Row, cuts: list[int], *, is_chat: bool, num_top: int | None) -> list[Any]:
    """First the whole choice, then those of the stream."""
    if is_chat:
        wanted = {} if num_top is None else {"logprobs": True, "top_logprobs": num_top}
        body = BODY | wanted | {"messages": [{"role": "user", "content": "hi"}]}
        asked = read_chat(body, SERVED)
    else:
        asked = read_completion(BODY | {"prompt": "hi", "logprobs": num_top}, SERVED)
    kind = ChatFormat if is_chat else CompletionFormat

    def answer() -> Answer:
        return Answer(SERVED, asked, kind, key="k", created=0)

    (whole,) = answer().whole([SampledRows(rows=(row,))])["choices"]
    stream = answer()
    chunks = [chunk for delta in deltas_of(row, cuts) for chunk in stream.chunks(0, delta)]
    return [whole, *(choice for chunk in chunks for choice in chunk["choices"])]


@given(some_tokens, st.lists(st.integers(0, 30), max_size=4), st.booleans(), st.booleans())
def test_parts_are_of_one_kind_and_come_to_the_whole(
    sampled: list[tuple[int, int]], cuts: list[int], is_chat: bool, has_logprobs: bool
) -> None:
    tokens, masks = (tuple(column) for column in zip(*sampled, strict=True))
    fields: dict[str, Any] = {}
    if has_logprobs:
        logprobs = tuple(-1.0 - number for number in range(len(tokens)))
        fields = {"logprobs": logprobs, "top_tokens": tokens, "top_logprobs": logprobs}
    row = Row(tokens=tokens, masks=masks, finish_reason="length", **fields)
    whole, *streamed = _choices(row, cuts, is_chat=is_chat, num_top=1 if has_logprobs else None)
    told = [choice for choice in streamed if "token_ids" in choice]
    assert [*chain.from_iterable(choice["token_ids"] for choice in told)] == [*tokens]
    assert [*chain.from_iterable(choice["masks"] for choice in told)] == [*masks]
    for choice in told:
        assert len(set(choice["masks"])) <= 1
        names = [SERVED.names.special(token) for token in choice["token_ids"]]
        name = choice["special_token"]
        assert names == ([None] * len(names) if name is None else [name])
    if is_chat:
        text = "".join(choice["delta"].get("content", "") for choice in streamed)
        assert text == whole["message"]["content"]
    else:
        assert "".join(choice["text"] for choice in streamed) == whole["text"]
    assert [choice["finish_reason"] for choice in streamed][-1] == "length"
    assert not any(choice["finish_reason"] for choice in streamed[:-1])
    if has_logprobs:
        blocks = [choice["logprobs"] for choice in told if choice["logprobs"] is not None]
        for name in ("content",) if is_chat else LOGPROB_FIELDS:
            joined = [*chain.from_iterable(block[name] for block in blocks)]
            assert joined == whole["logprobs"][name]


def test_there_are_no_more_parts_than_changes() -> None:
    tokens = (*b"6*7", OUTPUT_START, *b"42", *b"ok")
    masks = (1, 1, 1, 0, 0, 0, 1, 1)
    delta = RowDelta(row=0, start=5, tokens=tokens, masks=masks, finish_reason="stop", text="6*7x")
    told = [*parts(delta, SERVED.names)]
    assert [bytes(part.tokens) for part, special in told if special is None] == [
        b"6*7",
        b"42",
        b"ok",
    ]
    assert [part.start for part, _ in told] == [5, 8, 9, 11]
    assert [special for _, special in told] == [None, "<|output_start|>", None, None]
    assert [part.finish_reason for part, _ in told] == [None, None, None, "stop"]
    assert [part.text for part, _ in told] == [None, None, None, "6*7x"]
    runs = [mask for mask, _ in groupby(masks)]
    assert len(told) == len(runs) + 1


def test_a_delta_of_one_kind_stays_whole() -> None:
    for tokens in ((), (104, 105)):
        delta = RowDelta(row=0, start=0, tokens=tokens, masks=(1,) * len(tokens))
        assert [*parts(delta, SERVED.names)] == [(delta, None)]
