"""Log lines without secrets, whoever wrote them."""

from __future__ import annotations

import logging
from collections.abc import Sequence


class RedactingFormatter(logging.Formatter):
    """Blacks out secrets in the finished text: message, arguments and traceback.

    A second wall: nothing of ours logs one, but a library or a server may repeat what it was sent.
    """

    def __init__(self, form: str, secrets: Sequence[str]) -> None:
        """`secrets`: the longest first, as one may be a part of another."""
        super().__init__(form)
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
