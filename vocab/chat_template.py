"""A model's chat template: Jinja that makes one text of a conversation's messages.

Templates come with models, so they run in Jinja's sandbox, without a look at the clock: a prompt
would be another one tomorrow. Where a template asks for `strftime_now`, it is told that there is
none, and takes the date that it has for that case.

Source: `apply_chat_template` of transformers, whose environment this is but for the clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from vocab.errors import ConversationError, TokenizerError

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_USER, _ASSISTANT = "user", "assistant"
_HOW_TO_INSTALL = "needs jinja2: pip install 'rowmill[hf]'"


class ChatTemplate:
    """Raises TokenizerError for a template that is none, and where jinja2 is not installed."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """`special_tokens` are what the template may name, such as `bos_token`."""
        self.source = source
        self._special_tokens = dict(special_tokens)
        self._template = _compiled(source)

    def render(self, messages: Sequence[object]) -> str:
        """The text of a conversation that waits for the assistant's next message.

        A message is a mapping with a string as its `role`; all else is the template's affair.
        Raises ConversationError.
        """
        _check(messages)
        try:
            return str(
                self._template.render(
                    messages=messages, add_generation_prompt=True, **self._special_tokens
                )
            )
        except ConversationError:
            raise
        except Exception as error:  # a template may do whatever the sandbox allows
            reason = str(error) or type(error).__name__
            raise ConversationError(None, f"the model's chat template: {reason}") from error


def _check(messages: Sequence[object]) -> None:
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            kind = type(message).__name__
            raise ConversationError(index, f"it is {kind}, which must be a mapping")
        if not isinstance(message.get("role"), str):
            raise ConversationError(index, "its role must be a string, such as user")
    if not messages:
        raise ConversationError(0, "there is none, and the user has said nothing")
    last = messages[-1]
    if isinstance(last, Mapping) and last.get("role") == _ASSISTANT:
        raise ConversationError(
            len(messages) - 1,
            "it is the assistant's and the last: leave it out, as the answer is to be sampled",
        )


def _compiled(source: str) -> Template:
    try:
        from jinja2 import TemplateError
    except ImportError as error:
        raise TokenizerError(_HOW_TO_INSTALL) from error
    try:
        return _environment().from_string(source)
    except TemplateError as error:
        raise TokenizerError(f"its chat template is not valid: {error}") from error


def _environment() -> Environment:
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import CallBlock, Node
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what the assistant has said; here it changes nothing."""

        tags = {"generation"}  # noqa: RUF012  (as Jinja declares it)

        def parse(self, parser: Parser) -> Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            call = self.call_method("_unchanged")
            return CallBlock(call, [], [], body).set_lineno(line)

        def _unchanged(self, caller: Any) -> Any:
            return caller()

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Jinja's own escapes what matters in HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(reason: object) -> NoReturn:
    raise ConversationError(None, f"the model's chat template: {reason}")
