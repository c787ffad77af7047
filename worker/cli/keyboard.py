"""Keyboard: single keys of a terminal, without Enter."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator


class Keyboard:
    """`wait` sleeps until a key is pressed, or time is up."""

    def __init__(self, is_there: bool) -> None:
        self._is_there = is_there

    def wait(self, seconds: float) -> str:
        """The key, or nothing."""
        if not self._is_there:
            time.sleep(seconds)
            return ""
        is_ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if is_ready else ""


@contextlib.contextmanager
def keyboard() -> Iterator[Keyboard]:
    """For as long as the context lasts the terminal gives each key at once and shows none; Ctrl+C
    still interrupts. Where standard input is no terminal there are no keys."""
    if not sys.stdin.isatty():
        yield Keyboard(is_there=False)
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield Keyboard(is_there=True)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
