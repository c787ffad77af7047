"""A line's fields: what every kind of file gives, and how a line of JSON becomes them."""

from __future__ import annotations

import json
from typing import Any, NoReturn, Protocol

from jobs.dataset.errors import LineError
from jobs.errors import brief


class Raw(Protocol):
    """A line as it was read; nothing of it is parsed before it is asked for."""

    def record(self) -> dict[str, Any]:
        """Its fields by name. Raises LineError where it has none."""


class JsonLine:
    """A line of JSON, in bytes."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        self._text = text

    def record(self) -> dict[str, Any]:
        try:
            value = _DECODER.decode(self._text.decode("utf-8"))
            if b"\\ud" in self._text or b"\\uD" in self._text:
                json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeDecodeError as error:
            raise LineError(f"is not UTF-8 at byte {error.start}") from error
        except json.JSONDecodeError as error:
            raise LineError(f"is not JSON at character {error.pos}: {error.msg}") from error
        except UnicodeEncodeError as error:
            raise LineError("escapes half of a surrogate pair, which is no character") from error
        except RecursionError as error:
            raise LineError("is nested too deep") from error
        except ValueError as error:  # Python parses no integers of more than 4,300 digits
            raise LineError("holds an integer of too many digits") from error
        if not isinstance(value, dict):
            raise LineError(f"{brief(value)} is not a JSON object")
        return value


class LongLine:
    """Stands for a line that was not read to its end."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def record(self) -> dict[str, Any]:
        raise LineError(f"is longer than {self._limit} bytes")


def _refuse_constant(name: str) -> NoReturn:
    raise LineError(f"is not JSON: {name} is no number there")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)  # json.loads would make one a line
