"""Conversations become the tokens that nanochat trains on, and what is none names its message."""

from __future__ import annotations

import pytest

from tests.vocab.encodings import tiny_encoding
from vocab import BPETokenizer, ByteTokenizer, ConversationError, Tokenizer
from vocab.conversation import render_messages, render_question
from vocab.display import display

TOKENIZER = ByteTokenizer()


def message(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


def shown(messages: list[dict[str, object]], tokenizer: Tokenizer = TOKENIZER) -> str:
    return display(render_messages(messages, tokenizer), tokenizer)


@pytest.mark.parametrize("tokenizer", [TOKENIZER, BPETokenizer(tiny_encoding())])
def test_turns_are_told_apart_by_special_tokens(tokenizer: Tokenizer) -> None:
    messages = [
        message("system", "Be brief."),
        message("user", "hello"),
        message("assistant", "llo"),
        message("user", "1 + 1?"),
    ]
    assert shown(messages, tokenizer) == (
        "<|bos|><|user_start|>Be brief.\n\nhello<|user_end|>"
        "<|assistant_start|>llo<|assistant_end|>"
        "<|user_start|>1 + 1?<|user_end|><|assistant_start|>"
    )


def test_the_tool_calls_of_an_answer_keep_their_tokens() -> None:
    parts = [
        {"type": "text", "text": "It is "},
        {"type": "python", "text": "2+2"},
        {"type": "python_output", "text": "4"},
        {"type": "text", "text": "."},
    ]
    messages = [message("user", "2+2?"), message("assistant", parts), message("user", "Sure?")]
    assert shown(messages) == (
        "<|bos|><|user_start|>2+2?<|user_end|><|assistant_start|>It is "
        "<|python_start|>2+2<|python_end|><|output_start|>4<|output_end|>.<|assistant_end|>"
        "<|user_start|>Sure?<|user_end|><|assistant_start|>"
    )


def test_a_question_is_a_conversation_of_one_message() -> None:
    question = "<|user_end|> ä"
    messages = [{**message("user", question), "name": "Ann"}]
    assert render_messages(messages, TOKENIZER) == render_question(question, TOKENIZER)


def test_rendering_leaves_the_messages_as_they_were() -> None:
    messages = [message("system", "a"), message("user", "b")]
    render_messages(messages, TOKENIZER)
    assert messages == [message("system", "a"), message("user", "b")]


USER, ANSWER, SYSTEM = message("user", "a"), message("assistant", "b"), message("system", "c")


@pytest.mark.parametrize(
    ("messages", "index", "reason"),
    [
        ([], 0, "there is none"),
        ([SYSTEM], 1, "there is none"),
        ([USER, ANSWER], 1, "leave it out"),
        ([SYSTEM, USER, ANSWER], 2, "leave it out"),
        ([ANSWER], 0, "'assistant', and the user's turn"),
        ([SYSTEM, ANSWER], 1, "the user's turn"),
        ([USER, USER], 1, "'user', and the assistant's turn"),
        ([USER, ANSWER, SYSTEM, USER], 2, "'system', and the user's turn"),
        ([SYSTEM, SYSTEM, USER], 1, "the user's turn"),
        (["a"], 0, "'a', which must be a mapping"),
        ([{"content": "a"}], 0, "its role is None"),
        ([message("tool", "a")], 0, "its role is 'tool', which must be system"),
        ([{"role": ["user"], "content": "a"}], 0, "its role is list"),
        ([message("user", None)], 0, "its content is None, which must be a string"),
        ([message("user", [{"type": "text", "text": "a"}])], 0, "which must be a string"),
        ([USER, message("assistant", 1)], 1, "int, which must be a string or a list"),
        ([USER, message("assistant", ["a"]), USER], 1, "part 0 must"),
        ([USER, message("assistant", [{"type": "image", "text": ""}]), USER], 1, "part 0 must"),
        ([USER, message("assistant", [{"type": "text"}]), USER], 1, "part 0 must"),
        ([USER, message("assistant", [{"type": [], "text": ""}]), USER], 1, "part 0 must"),
    ],
)
def test_what_is_no_conversation_names_its_message(
    messages: list[object], index: int, reason: str
) -> None:
    with pytest.raises(ConversationError, match=f"^message {index}: .*{reason}") as caught:
        render_messages(messages, TOKENIZER)
    assert caught.value.index == index


def test_a_tokenizer_without_the_chat_tokens_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="user_start"):
        render_messages([USER], ByteTokenizer(special_tokens=("<|bos|>",)))
