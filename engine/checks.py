"""Checks of a request's values, and how an error shows what is wrong."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from typing import Any

from engine.errors import RequestError


def check_integer(field: str, value: Any, least: int, most: int) -> None:
    """Raise RequestError unless `value` is an integer (bool is none) from `least` to `most`."""
    if type(value) is not int:
        raise RequestError(field, f"must be an integer, not {shown(value)}")
    if not least <= value <= most:
        raise RequestError(field, f"must be from {least} to {most}, not {shown(value)}")


def check_number(field: str, value: Any, least: float, most: float) -> None:
    """Raise RequestError unless `value` is a finite number from `least` to `most`."""
    if type(value) not in (int, float):
        raise RequestError(field, f"must be a number, not {shown(value)}")
    if not (least <= value <= most and abs(value) <= sys.float_info.max):
        limit = f"from {least:g} to {most:g}" if math.isfinite(most) else f"at least {least:g}"
        raise RequestError(field, f"must be finite and {limit}, not {shown(value)}")


def check_above_zero(field: str, value: Any, most: float) -> None:
    """Raise RequestError unless `value` is a number above 0 and up to `most`."""
    check_number(field, value, 0.0, most)
    if value == 0:
        raise RequestError(field, "must be above 0")


def check_bool(field: str, value: Any) -> None:
    if type(value) is not bool:
        raise RequestError(field, f"must be true or false, not {shown(value)}")


def check_text(field: str, value: Any, most: int) -> None:
    """Raise RequestError unless `value` is a string of 1 to `most` characters."""
    if not isinstance(value, str):
        raise RequestError(field, f"must be a string, not {shown(value)}")
    if not 1 <= len(value) <= most:
        raise RequestError(field, f"must have 1 to {most} characters, not {len(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a surrogate by itself, which libraries do not take
        raise RequestError(field, "must be text that UTF-8 can write") from error


def as_items(field: str, value: Any, most: int, of: str) -> tuple[Any, ...]:
    """A list or tuple of at most `most` items, as a tuple; `of` says of what, for the error."""
    if not isinstance(value, list | tuple):
        raise RequestError(field, f"must be a list of {of}, not {shown(value)}")
    if len(value) > most:
        raise RequestError(field, f"must hold at most {most} {of}, not {len(value)}")
    return tuple(value)


def check_choice(field: str, value: Any, choices: Collection[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise RequestError(field, f"must be one of {', '.join(choices)}, not {shown(value)}")


def shown(value: Any) -> str:
    """A value as an error message shows it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = f"{type(value).__name__} with an integer too long to write"
    return text if len(text) <= 80 else f"{text[:77]}..."


def some_of(names: Sequence[str]) -> str:
    """The first of many names, and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
