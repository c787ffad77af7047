"""Log lines: fields in both forms, one line each in JSON, and no secret in either."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.worker.conftest import finished
from worker.claim import Claim
from worker.cli import app
from worker.cli.log_format import FieldsFormatter, JsonFormatter, TextFormatter

VALUES = st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


class Lines:
    """A logger by itself, and what it has written."""

    def __init__(self, formatter: FieldsFormatter) -> None:
        self._output = io.StringIO()
        handler = logging.StreamHandler(self._output)
        handler.setFormatter(formatter)
        self.log = logging.Logger("test")
        self.log.addHandler(handler)

    @property
    def text(self) -> str:
        return self._output.getvalue()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def test_a_json_line_has_the_time_the_message_and_the_fields() -> None:
    lines = Lines(JsonFormatter(fields={"worker": "w1"}))
    lines.log.info("%d rows\nof it", 3, extra={"job_id": "a", "attempt": 2, "tenant": None})

    (told,) = lines.objects
    time = told.pop("time")
    assert time.endswith("Z") and len(time) == len("2026-01-01T00:00:00.000Z")
    assert datetime.fromisoformat(time).utcoffset() == timedelta(0)
    assert told == {
        **{"level": "info", "logger": "test", "message": "3 rows\nof it"},
        **{"worker": "w1", "job_id": "a", "attempt": 2},
    }


def test_a_readable_line_has_the_same_fields_at_its_end() -> None:
    lines = Lines(TextFormatter(fields={"worker": "w1"}))
    lines.log.warning("it fails", extra={"job_id": "a", "path": "a b=c"})
    assert lines.text.endswith(' WARNING test: it fails worker=w1 job_id=a path="a b=c"\n')


@given(st.dictionaries(st.text(min_size=1).map("x".__add__), VALUES, max_size=4), st.text())
def test_whatever_is_logged_is_one_line_of_json(fields: Mapping[str, Any], message: str) -> None:
    lines = Lines(JsonFormatter())
    lines.log.info("%s", message, extra=fields)
    (told,) = lines.objects
    assert told["message"] == message
    assert told.keys() == {"time", "level", "logger", "message", *fields}


def test_an_exception_is_a_field_with_its_traceback() -> None:
    lines = Lines(JsonFormatter())
    try:
        raise ValueError("bad\nnews")
    except ValueError:
        lines.log.exception("it failed")
    (told,) = lines.objects
    assert told["message"] == "it failed"
    assert told["exception"].startswith("Traceback") and "bad\nnews" in told["exception"]


@pytest.mark.parametrize("form", [TextFormatter, JsonFormatter])
def test_message_arguments_fields_and_traceback_are_blacked_out(
    form: type[FieldsFormatter],
) -> None:
    lines = Lines(form(["a long secret", "secret", 'a"b\\é'], {"url": "redis://:secret@h"}))
    try:
        raise ValueError("no secret here")
    except ValueError:
        its = {"url": "redis://:secret@h"}
        lines.log.exception("not %s, and not a long secret", its, extra={"with": "a secret"})
    lines.log.info('a"b\\é')

    assert "secret" not in lines.text and "\\u00e9" not in lines.text and "é" not in lines.text
    assert "not {'url': 'redis://:***@h'}, and not ***" in lines.text
    assert "ValueError: no *** here" in lines.text


@pytest.mark.parametrize("secret", ["level", "info", '"', "{", ":", "e", "1"])
def test_no_secret_breaks_the_json(secret: str) -> None:
    lines = Lines(JsonFormatter([secret]))
    lines.log.info("a %s b", secret, extra={"job_id": secret})
    (told,) = lines.objects
    assert told["job_id"] == "***" and secret not in told["message"]


def test_a_claim_and_its_outcome_say_what_they_are_about() -> None:
    claim = Claim(
        **{"queue": "q@acme", "job_id": "a", "execution_id": "e", "payload": b"", "attempt": 2},
        **{"timeout": None, "deadline": None, "created_at": None, "claimed_at": 0.0},
        is_alone=False,
    )
    told = {"job_id": "a", "queue": "q", "tenant": "acme", "execution_id": "e", "attempt": 2}
    assert claim.log_fields == told
    assert finished(claim, 1).log_fields == {**told, "status": "finished"}


def test_a_command_gives_the_logging_of_its_caller_back(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    assert before, "pytest's own"
    for form in ("text", "json"):
        words = ["sample", str(tmp_path / "none.jsonl"), "--model", "demo", "--out", str(tmp_path)]
        result = CliRunner().invoke(app, [*words, "--log-format", form])
        assert result.exit_code == 2
        assert (root.handlers, root.level) == (before, level)
    told = json.loads(result.stderr)
    assert (told["level"], told["logger"]) == ("error", "rowmill")
    assert "none.jsonl" in told["message"]
