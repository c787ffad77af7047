"""The calculator gives nanochat's values, and refuses the rest without harm."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calculator import calculate

Number = int | float

OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("37 * 48", "1776"),
        ("  37*48  ", "1776"),
        ("1,000 + 1", "1001"),
        ("6/2", "3.0"),
        ("0.1 + 0.2", "0.30000000000000004"),
        (".5 + 5.", "5.5"),
        ("-(3 - 5) * +2", "4"),
        ("2 - 3 - 4", "-5"),
        ("7", "7"),
        ("-" * 200 + "1", "1"),
        ("1+" * 127 + "1", "128"),
        ("9" * 100, "9" * 100),
        ('"strawberry".count("r")', "3"),
        ("'strawberry'.count('r')", "3"),
        (""" "it's".count('t') """, "1"),
        ('"aaaa".count("aa")', "2"),
        ('"a.count(b)".count(".")', "1"),
        ('"".count("")', "1"),
        ('"profile".count("e")', "1"),
        ('"open __import__".count("_")', "4"),
    ],
)
def test_a_value_reads_as_python_prints_it(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "()",
        "...",
        "1 1",
        "1(2)",
        "(1)(2)",
        "007",
        "1.2.3",
        "1 +",
        "2 ** 3",
        "2 * * 3",
        "2**9**9**9",
        "7 // 2",
        "7 % 2",
        "1 / 0",
        "1.0 / (2 - 2)",
        "1 < 2",
        "1 == 1",
        "~1",
        "1 | 2",
        "1j",
        "0x10",
        "1_000",
        "1e3",
        "1 if 2 else 3",
        "1or 2",
        "not 1",
        "True",
        "None",
        "x",
        "[1]",
        "(1).real",
        "1\n+ 1",
        "\t1",
        "lambda: 1",
        "__import__('os').system('true')",
        "().__class__",
        '"a"',
        '"a" + "b"',
        '"a" * 3',
        '"a".upper()',
        '"a".count',
        '"a".count()',
        '"a".count(1)',
        '"a".count(a)',
        '"a".count("a").real',
        '"a".count("a", 0)',
        '"a".count("a") + 1',
        'b"a".count(b"a")',
        'f"a".count("a")',
        '"a" "b".count("b")',
        '"""a""".count("a")',
        '"\\d".count("d")',
        '"é".count("é")',
        '"a".__class__.count("a")',
        "٣ + ٣",
        "1\x00",
        "\ud800",
    ],
)
def test_anything_else_has_no_value(expression: str) -> None:
    assert calculate(expression) is None


def test_integers_are_bounded_at_every_step_and_not_only_at_the_end() -> None:
    factor = "9" * 60
    assert calculate("1" + "0" * 100) is None
    assert calculate("-1" + "0" * 100) is None
    assert calculate(f"{factor} * {factor}") is None
    assert calculate(f"{factor} * {factor} / {factor}") is None


def test_floats_may_be_larger_than_integers_but_stay_finite() -> None:
    assert calculate("9" * 250 + ".") == "1e+250"
    assert calculate("9" * 400 + ".") is None


@pytest.mark.parametrize(
    "unit", ["(", "-", "+ ", "1+(", "(1", "1(", "()", "(-", "1.", "'a'.count("]
)
def test_deep_nesting_and_long_text_do_no_harm(unit: str) -> None:
    for times in (1, 10, 60, 100, 100_000):
        for tail in ("", "1", ")", "1" + ")" * times):
            calculate(unit * times + tail)


def test_what_is_longer_than_the_limit_is_refused() -> None:
    assert calculate("1" + " " * 255) == "1"
    assert calculate("1" + " " * 256) is None


Sum = tuple[str, Number | None]
"""An expression and its value by Python's operators; None where a step leaves the bounds."""


def combine(left: Sum, sign: str, right: Sum) -> Sum:
    text = f"({left[0]}) {sign} ({right[0]})"
    if left[1] is None or right[1] is None:
        return text, None
    try:
        return text, bounded(OPERATORS[sign](left[1], right[1]))
    except ArithmeticError:
        return text, None


def bounded(value: Number) -> Number | None:
    is_bounded = abs(value) < 10**100 if isinstance(value, int) else math.isfinite(value)
    return value if is_bounded else None


def literal(value: Number) -> Sum:
    return format(value, "f") if isinstance(value, float) else str(value), value


numbers: st.SearchStrategy[Sum] = st.one_of(
    st.integers(0, 10**6),
    st.integers(0, 10**60),
    st.integers(0, 10**6).map(lambda n: n / 1000),
).map(lambda value: literal(float(f"{value:f}") if isinstance(value, float) else value))

sums = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(sorted(OPERATORS)), inner).map(lambda t: combine(*t)),
        inner.map(lambda s: (f"-({s[0]})", None if s[1] is None else -s[1])),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(sums)
def test_arithmetic_agrees_with_python(case: Sum) -> None:
    text, value = case
    expected = None if value is None or len(text) > 256 else str(value)
    assert calculate(text) == expected


@settings(deadline=None)
@given(st.text() | st.text("0123456789+-*/(). ,") | st.text("ab1'\".()_ count"))
def test_no_text_raises_or_warns(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = calculate(text)
    assert value is None or math.isfinite(float(value))


@settings(deadline=None)
@given(
    st.text("abcount .()_19", max_size=60),
    st.text("abcount .()_19", max_size=4),
    st.sampled_from("\"'"),
)
def test_counting_agrees_with_python(text: str, part: str, quote: str) -> None:
    expression = f"{quote}{text}{quote}.count({quote}{part}{quote})"
    assert calculate(expression) == str(text.count(part))
