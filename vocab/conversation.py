"""How nanochat's chat format becomes tokens."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence

from vocab.errors import ConversationError
from vocab.special import (
    ASSISTANT_END,
    ASSISTANT_START,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
    USER_END,
    USER_START,
)
from vocab.tokenizer import ChatTokenizer, Tokenizer

_SYSTEM, _USER, _ASSISTANT = "system", "user", "assistant"
_TEXT = "text"
# What stands around a part of an assistant's message.
_PARTS = {
    _TEXT: (),
    "python": (PYTHON_START, PYTHON_END),
    "python_output": (OUTPUT_START, OUTPUT_END),
}


def render_question(question: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a conversation that asks `question` and waits for the assistant's answer.

    Raises KeyError where the tokenizer lacks the special tokens of a conversation.
    """
    return render_messages([{"role": _USER, "content": question}], tokenizer)


def render_text(text: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of text as it is, at the beginning of a sequence."""
    bos = tokenizer.get_bos_token_id()
    return [*([] if bos is None else [bos]), *tokenizer.encode(text)]


def render_messages(messages: Sequence[object], tokenizer: Tokenizer) -> list[int]:
    """The tokens of a conversation that waits for the assistant's next message.

    A tokenizer that knows its model's chat format renders it. For others it is nanochat's.

    There a message is a mapping with `role` and `content`; other keys are ignored. The user and the
    assistant take turns, the user first and last. A system message may stand before the first; it
    becomes the head of the user's text, with an empty line between. The content is a string. The
    assistant's may also be a list of parts, `{"type": ..., "text": ...}`, of the types text, python
    (a call of the tool) and python_output (what the tool gave).

    Source: `render_for_completion` of nanochat's tokenizer, which drops a last message of the
    assistant; here it is refused. Raises ConversationError, which names the message by its index
    from 0, and KeyError where the tokenizer lacks the special tokens of a conversation.
    """
    if isinstance(tokenizer, ChatTokenizer):
        return tokenizer.render(messages)
    special = tokenizer.encode_special
    tokens = render_text("", tokenizer)
    for role, parts in _turns(messages):
        start, end = (USER_START, USER_END) if role == _USER else (ASSISTANT_START, ASSISTANT_END)
        tokens.append(special(start))
        for kind, text in parts:
            before, after = _PARTS[kind][:1], _PARTS[kind][1:]
            tokens += [*map(special, before), *tokenizer.encode(text), *map(special, after)]
        tokens.append(special(end))
    tokens.append(special(ASSISTANT_START))
    return tokens


_Parts = list[tuple[str, str]]


def _turns(messages: Sequence[object]) -> Iterator[tuple[str, _Parts]]:
    """Each turn's role, and the types and texts of its parts."""
    head = ""
    turn = _USER
    for index, message in enumerate(messages):
        role, parts = _read(index, message)
        if role == _SYSTEM and index == 0:
            head = f"{parts[0][1]}\n\n"
            continue
        if role != turn:
            raise ConversationError(index, f"its role is {role!r}, and the {turn}'s turn it is")
        if head:
            parts, head = [(_TEXT, head + parts[0][1])], ""
        yield role, parts
        turn = _ASSISTANT if turn == _USER else _USER
    if turn == _USER:
        if len(messages) < 2:
            raise ConversationError(len(messages), "there is none, and the user has said nothing")
        raise ConversationError(
            len(messages) - 1,
            "it is the assistant's and the last: leave it out, as the answer is to be sampled",
        )


def _read(index: int, message: object) -> tuple[str, _Parts]:
    if not isinstance(message, Mapping):
        raise ConversationError(index, f"it is {_shown(message)}, which must be a mapping")
    role, content = message.get("role"), message.get("content")
    if role not in (_SYSTEM, _USER, _ASSISTANT):
        raise ConversationError(
            index, f"its role is {_shown(role)}, which must be system, user or assistant"
        )
    if isinstance(content, str):
        return role, [(_TEXT, content)]
    if role != _ASSISTANT:
        raise ConversationError(index, f"its content is {_shown(content)}, which must be a string")
    if not isinstance(content, list | tuple):
        raise ConversationError(
            index, f"its content is {_shown(content)}, which must be a string or a list of parts"
        )
    return role, [_read_part(index, number, part) for number, part in enumerate(content)]


def _read_part(index: int, number: int, part: object) -> tuple[str, str]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    text = part.get("text") if isinstance(part, Mapping) else None
    if not isinstance(kind, str) or kind not in _PARTS or not isinstance(text, str):
        raise ConversationError(
            index, f"part {number} must have a type of {', '.join(_PARTS)} and a string as its text"
        )
    return kind, text


def _shown(value: object) -> str:
    return reprlib.repr(value) if isinstance(value, str) or value is None else type(value).__name__
