"""Stretches of time as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600


def span(seconds: float) -> str:
    """Such as 4 ms, 2.5 s, 3 min 20 s, 5 h 12 min or 9 d."""
    if seconds < 1:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} d"


def ago(seconds: float) -> str:
    return f"{span(max(seconds, 0.0))} ago"


def clock_time(moment: float) -> str:
    """Of a Unix time, in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")
