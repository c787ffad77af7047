"""The calculator that a model may call between `<|python_start|>` and `<|python_end|>`."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

# A node of the tree has at least one character of its own, so this also bounds the number of
# nodes, their depth (well inside Python's recursion limit) and the digits of a literal.
_MAX_LENGTH = 256
_MAX_INT = 10**100  # exclusive; at every step, so no product is ever long

_ARITHMETIC = re.compile(r"[0-9+\-*/(). ]*")
_COUNT = re.compile(
    r"""
    [ ]* (?P<quote>["']) (?P<text> (?:(?!(?P=quote)) [a-zA-Z0-9'"()._ ])* ) (?P=quote)
    [ ]* \. [ ]* count [ ]* \( [ ]*
    (?P<quote2>["']) (?P<part> (?:(?!(?P=quote2)) [a-zA-Z0-9'"()._ ])* ) (?P=quote2)
    [ ]* \) [ ]*
    """,
    re.VERBOSE,
)

_Number = int | float
_BINARY: dict[type[ast.operator], Callable[[_Number, _Number], _Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_UNARY: dict[type[ast.unaryop], Callable[[_Number], _Number]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class _RefusedError(Exception):
    """The expression asks for something that the calculator does not do."""


def calculate(expression: str) -> str | None:
    """The value that is forced back into a row as text, or None where there is none to force.

    Never raises, never warns, and takes milliseconds at most. Nothing is run: arithmetic is parsed
    to a tree of which only + - * / on numbers are computed, and `"text".count("part")` is matched
    as a whole. Commas are dropped first, so 1,000 is a thousand.

    Source: `use_calculator` of nanochat's engine at commit 8f979a8bda, which calls `eval` behind a
    filter. The same characters are admitted and a value reads the same, with these differences:

    - Only arithmetic and one count have a value. nanochat's filter also lets through `//`, `()`,
      `...`, conditions made of words, prefixed and triple-quoted or adjoined strings.
    - The expression has at most 256 characters, integers stay below 10**100 at every step, and
      floats stay finite. nanochat has a time limit of seconds, and forces `inf`.
    - A text to count in may hold any word. nanochat refuses those that contain the name of a
      builtin, such as "profile" with its "file".
    """
    if len(expression) > _MAX_LENGTH:
        return None
    expression = expression.replace(",", "")
    if match := _COUNT.fullmatch(expression):
        return str(match["text"].count(match["part"]))
    if not _ARITHMETIC.fullmatch(expression) or "**" in expression:
        return None
    try:
        # Like eval, and unlike ast.parse, leading spaces are no indentation.
        return str(_value(ast.parse(expression.strip(" "), mode="eval").body))
    except (_RefusedError, ArithmeticError, SyntaxError):
        return None
    except (RecursionError, MemoryError):  # how Python's parser reports too deep a nesting
        return None


def _value(node: ast.expr) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return _bounded(value)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _bounded(_UNARY[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
    raise _RefusedError


def _bounded(value: _Number) -> _Number:
    is_bounded = abs(value) < _MAX_INT if isinstance(value, int) else math.isfinite(value)
    if not is_bounded:
        raise _RefusedError
    return value
