"""What is found wrong with an input file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.batches.batch import BatchError
from gateway.batches.input_lines import input_lines
from gateway.batches.validation import Validation

URL = "/v1/completions"
GOOD: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": URL, "body": {"prompt": "x"}}


def errors_of(path: Path, *lines: object, max_lines: int = 10) -> list[BatchError]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    validation = Validation(URL, max_lines)
    validation.read(input_lines(path, 1000))
    return validation.errors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input.jsonl"


def test_a_good_file_has_no_errors_and_blank_lines_count_for_nothing(path: Path) -> None:
    path.write_text(json.dumps(GOOD) + "\n\n  \n" + json.dumps({**GOOD, "custom_id": "b"}))
    validation = Validation(URL, 2)
    validation.read(input_lines(path, 1000))
    assert (validation.num_lines, validation.errors) == (2, [])


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"custom_id": None}, "missing_required_parameter", "custom_id"),
        ({"custom_id": 7}, "invalid_custom_id", "custom_id"),
        ({"custom_id": "x" * 513}, "invalid_custom_id", "custom_id"),
        ({"method": "GET"}, "invalid_method", "method"),
        ({"method": None}, "missing_required_parameter", "method"),
        ({"url": "/v1/chat/completions"}, "invalid_url", "url"),
        ({"body": "text"}, "invalid_body", "body"),
        ({"body": None}, "missing_required_parameter", "body"),
    ],
)
def test_an_error_names_the_line_and_the_field(
    path: Path, change: dict[str, Any], code: str, param: str
) -> None:
    (error,) = errors_of(path, GOOD, {**GOOD, "custom_id": "b", **change})
    assert (error.line, error.code, error.param) == (2, code, param)
    assert error.message.startswith(f"{param}: ")


def test_an_id_may_come_once(path: Path) -> None:
    (error,) = errors_of(path, GOOD, "", GOOD)
    assert (error.line, error.code) == (3, "duplicate_custom_id")
    assert "line 1" in error.message


@pytest.mark.parametrize("line", ['{"custom_id": ', "[1]", "nul", '{"a": "' + "x" * 2000 + '"}'])
def test_a_line_that_is_no_object_is_an_error_of_its_own(path: Path, line: str) -> None:
    (error,) = errors_of(path, line, {**GOOD, "custom_id": "b"})
    assert (error.line, error.code) == (1, "invalid_json_line")


def test_a_file_without_lines_and_one_with_too_many_are_refused(path: Path) -> None:
    assert [error.code for error in errors_of(path)] == ["empty_file"]
    lines = [{**GOOD, "custom_id": str(number)} for number in range(4)]
    (error,) = errors_of(path, *lines, max_lines=3)
    assert (error.code, error.line) == ("too_many_lines", 4)


def test_a_file_with_nothing_right_in_it_gives_a_hundred_errors_or_so(path: Path) -> None:
    errors = errors_of(path, *["{"] * 500, max_lines=500)
    assert len(errors) == 100
