"""Log lines: readable ones, or JSON for machines, both with fields and without secrets.

A field is what a log call gives as `extra`, such as a job's ID. Secrets are blacked out whoever
wrote them, in messages, fields and tracebacks: a second wall, as nothing of ours logs one, but a
library or a server may repeat what it was sent.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
"""What every record has, or a library's record has for its own terminal."""
_BARE = re.compile(r"[\w.:/@+-]+")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class FieldsFormatter(logging.Formatter):
    """What both forms share."""

    def __init__(
        self, secrets: Sequence[str] = (), fields: Mapping[str, object] | None = None
    ) -> None:
        """`secrets`: the longest first, as one may be a part of another. `fields`: every line's."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = tuple(secrets)
        self._fields = dict(fields or {})

    def fields_of(self, record: logging.LogRecord) -> dict[str, object]:
        """Every line's, and what the log call gave as `extra`; None is what does not apply."""
        own = {name: value for name, value in vars(record).items() if name not in _KNOWN}
        return {name: it for name, it in {**self._fields, **own}.items() if it is not None}

    def redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class TextFormatter(FieldsFormatter):
    """A readable line, with its fields behind it; a traceback follows."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = (f"{name}={_word(value)}" for name, value in self.fields_of(record).items())
        return " ".join([super().formatMessage(record), *fields])

    def format(self, record: logging.LogRecord) -> str:
        return self.redacted(super().format(record))


class JsonFormatter(FieldsFormatter):
    """One JSON object in a line: time (UTC), level, logger, message, the fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: it for name, it in self.fields_of(record).items() if name not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        # Before it is JSON: there a secret may be written otherwise, or be a part of the syntax.
        return json.dumps({name: self._plain(value) for name, value in told.items()})

    def _plain(self, value: object) -> object:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self.redacted(str(value))


FORMATTERS: Mapping[LogFormat, type[FieldsFormatter]] = {
    LogFormat.TEXT: TextFormatter,
    LogFormat.JSON: JsonFormatter,
}


def _utc(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
