"""A secret is blacked out wherever it stands in a log line."""

from __future__ import annotations

import io
import logging

from worker.cli.redaction import RedactingFormatter


def test_message_arguments_and_traceback_are_blacked_out() -> None:
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(RedactingFormatter("%(message)s", ["a long secret", "secret"]))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("no secret here")
    except ValueError:
        logger.exception("not %s, and not a long secret", {"url": "redis://:secret@h"})

    assert "secret" not in output.getvalue()
    assert "not {'url': 'redis://:***@h'}, and not ***\n" in output.getvalue()
    assert "ValueError: no *** here" in output.getvalue()
