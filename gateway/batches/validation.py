"""Whether a file can be a batch's input: what is found before any of it is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.batches.batch import BatchError
from gateway.batches.input_lines import InputLine
from jobs.dataset.errors import LineError
from jobs.errors import brief

_MAX_ERRORS = 100
_MAX_ID_CHARS = 512


class Validation:
    """Reads the lines once. A body is not looked into: what is wrong in it is its own line's error.

    `num_lines` and `errors` (of a hundred lines at most) are what was found.
    """

    def __init__(self, endpoint: str, max_lines: int) -> None:
        self._endpoint = endpoint
        self._max_lines = max_lines
        self._seen: dict[str, int] = {}
        self.num_lines = 0
        self.errors: list[BatchError] = []

    def read(self, lines: Iterable[InputLine]) -> None:
        for line in lines:
            self.num_lines += 1
            if self.num_lines > self._max_lines:
                message = f"the file has more than {self._max_lines} lines"
                self.errors.append(_error("too_many_lines", message, line=line.number))
                return
            self.errors += self._errors_of(line)
            if len(self.errors) >= _MAX_ERRORS:
                return
        if not self.num_lines:
            self.errors.append(_error("empty_file", "the file has no lines"))

    def _errors_of(self, line: InputLine) -> Iterator[BatchError]:
        try:
            record = line.raw.record()
        except LineError as error:
            yield _error("invalid_json_line", f"the line {error}", line=line.number)
            return
        yield from self._id_errors(record, line.number)
        wanted = {"method": "POST", "url": self._endpoint}
        for name, value in wanted.items():
            if record.get(name) != value:
                limit = value if name == "method" else f"{value}, the batch's endpoint"
                yield _field_error(record, name, limit, line.number)
        if not isinstance(record.get("body"), Mapping):
            yield _field_error(record, "body", "an object", line.number)

    def _id_errors(self, record: Mapping[str, Any], number: int) -> Iterator[BatchError]:
        custom_id = record.get("custom_id")
        if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= _MAX_ID_CHARS:
            limit = f"a string of 1 to {_MAX_ID_CHARS} characters"
            yield _field_error(record, "custom_id", limit, number)
            return
        earlier = self._seen.setdefault(custom_id, number)
        if earlier != number:
            message = f"custom_id: {brief(custom_id)} is that of line {earlier}, too"
            yield _error("duplicate_custom_id", message, param="custom_id", line=number)


def _field_error(record: Mapping[str, Any], name: str, limit: str, line: int) -> BatchError:
    if record.get(name) is None:
        message = f"{name}: is missing; it must be {limit}"
        return _error("missing_required_parameter", message, param=name, line=line)
    message = f"{name}: {brief(record[name])} is not allowed; it must be {limit}"
    return _error(f"invalid_{name}", message, param=name, line=line)


def _error(
    code: str, message: str, *, param: str | None = None, line: int | None = None
) -> BatchError:
    return BatchError(code=code, message=message, param=param, line=line)
