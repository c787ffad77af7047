"""Upload: a multipart body that goes to a file as it comes."""

from __future__ import annotations

from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import ApiError

_FILE = "file"
_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 1024
_MAX_NAME_CHARS = 255
MAX_OVERHEAD_BYTES = 2**16
"""What a body may have beside its file."""


class Upload:
    """Takes the pieces of a body; the part called `file` goes to `target`, the others to `fields`.

    Raises ApiError for what is no such body (400) and for a file that is too large (413).
    """

    def __init__(self, content_type: str | None, target: BinaryIO, max_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise ApiError(400, "the body must be multipart/form-data with a boundary")
        self._target = target
        self._max_bytes = max_bytes
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.num_bytes = 0
        self._is_whole = False
        self._header_name, self._header_value = b"", b""
        self._disposition = b""
        self._name = ""
        self._value = bytearray()
        self._num_parts = 0
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part_begin,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise self._no_form() from error

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise self._no_form() from error

    def end(self) -> None:
        """There are no more pieces."""
        if not self._is_whole:
            raise self._no_form()
        if self.filename is None:
            raise ApiError(400, "file: is missing; it must be a file", param=_FILE)

    def _on_part_begin(self) -> None:
        self._num_parts += 1
        if self._num_parts > _MAX_FIELDS:
            raise ApiError(400, f"the body has more than {_MAX_FIELDS} parts")
        self._name, self._disposition = "", b""
        self._value.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name != _FILE:
            return
        if self.filename is not None:
            raise ApiError(400, "file: is there twice; a body holds one file", param=_FILE)
        if b"filename" not in options:
            raise ApiError(400, "file: is no file; its part must have a filename", param=_FILE)
        name = options[b"filename"].decode("utf-8", "replace")[:_MAX_NAME_CHARS]
        self.filename = name or "unnamed.jsonl"

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == _FILE:
            self.num_bytes += end - start
            if self.num_bytes > self._max_bytes:
                raise self._too_large()
            self._target.write(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            limit = f"is longer than {_MAX_FIELD_BYTES} bytes"
            raise ApiError(400, f"{self._name[:80]}: {limit}", param=self._name[:80])

    def _on_part_end(self) -> None:
        if self._name != _FILE:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self._is_whole = True

    def _no_form(self) -> ApiError:
        return ApiError(400, "the body is no whole multipart/form-data")

    def _too_large(self) -> ApiError:
        message = f"file: is larger than {self._max_bytes} bytes, the most that is taken"
        return ApiError(413, message, param=_FILE, code="file_too_large")
