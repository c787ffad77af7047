"""nanochat's tool use: a row writes an expression, the calculator's value is forced back.

Source: the token state machine of `Engine.generate` in nanochat's engine.py at commit 8f979a8bda.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from engine.calculator import calculate
from vocab.special import ASSISTANT_END, OUTPUT_END, OUTPUT_START, PYTHON_END, PYTHON_START
from vocab.tokenizer import ChatTokenizer, Tokenizer


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """The calculator behind the four tokens by which a row calls it."""

    tokenizer: Tokenizer
    python_start: int
    python_end: int
    output_start: int
    output_end: int

    @classmethod
    def of(cls, tokenizer: Tokenizer | None) -> Tool | None:
        """None where there is no tokenizer, or it lacks one of the four tokens."""
        if tokenizer is None:
            return None
        names = (PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END)
        ids = [special_token(tokenizer, name) for name in names]
        if any(token is None for token in ids):
            return None
        return cls(tokenizer, *(token for token in ids if token is not None))

    def answer(self, expression_tokens: Sequence[int]) -> list[int]:
        """The tokens to force back for an expression; none where it is refused."""
        try:
            expression = self.tokenizer.decode(expression_tokens)
        except (KeyError, ValueError, OverflowError):  # a token that the tokenizer does not have
            return []
        value = calculate(expression)
        if value is None:
            return []
        return [self.output_start, *self.tokenizer.encode(value), self.output_end]


class ToolCall:
    """One row's place in the exchange: outside, or inside an expression so far."""

    __slots__ = ("_expression", "_tool")

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._expression: list[int] | None = None

    def observe(self, token: int) -> list[int]:
        """Follow the row's next token; returns the tokens that are to be forced after it."""
        if token == self._tool.python_start:
            self._expression = []
        elif self._expression is not None and token == self._tool.python_end:
            expression, self._expression = self._expression, None
            return self._tool.answer(expression) if expression else []
        elif self._expression is not None:
            self._expression.append(token)
        return []


def terminal_tokens(tokenizer: Tokenizer | None) -> frozenset[int]:
    """The tokens that end a row when sampled: nanochat's are `<|assistant_end|>` and `<|bos|>`."""
    if tokenizer is None:
        return frozenset()
    if isinstance(tokenizer, ChatTokenizer):
        return tokenizer.get_end_token_ids()
    ids = {special_token(tokenizer, ASSISTANT_END), tokenizer.get_bos_token_id()}
    return frozenset(token for token in ids if token is not None)


def special_token(tokenizer: Tokenizer, name: str) -> int | None:
    """The id of a special token, or None; tokenizers differ in how they say that they lack one."""
    try:
        return tokenizer.encode_special(name)
    except (KeyError, ValueError):
        return None
