"""What is written in fields of the server: numbers, names and times, or None for what is none."""

import math
from datetime import datetime

from jobs.names import is_name

_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\ufffd")
"""All but the tab and the end of a line."""


def printable(text: str) -> str:
    """Without what makes a terminal do more than show it, whoever wrote it."""
    return text.translate(_CONTROLS)


def text_of(field: bytes | None) -> str:
    return printable((field or b"").decode(errors="replace"))


def name_of(field: bytes | None) -> str | None:
    """What a queue, tenant, job or worker may be called."""
    text = text_of(field)
    return text if is_name(text) else None


def count_of(text: str) -> int | None:
    """A number of at most fifteen digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def number_of(text: str) -> float | None:
    """Neither negative nor infinite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def moment_of(text: str) -> float | None:
    """A Unix time."""
    value = number_of(text)
    return value if value is not None and value < 1e11 else None


def rq_moment_of(field: bytes | None) -> float | None:
    """The Unix time of one as RQ writes it."""
    try:
        return moment_of(str(datetime.fromisoformat(text_of(field)).timestamp()))
    except (ValueError, OverflowError, OSError):
        return None
