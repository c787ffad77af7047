"""Requests: the lines of a valid input file as what their route makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.access.api_key import RESERVED
from gateway.batches.endpoint import Endpoint
from gateway.batches.input_lines import input_lines
from gateway.batches.results import place_of
from gateway.errors import ApiError
from gateway.openai.asked import Asked
from jobs import GenerateJob

TENANT = f"{RESERVED}batches"
"""One for all batches: together they have one turn among the tenants of a queue, with the lowest
priority, so that batches, however many, can't crowd out who waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`index`: of the line, from 0, without blank ones; `asked`: an error where it can't be run."""

    index: int
    custom_id: str
    asked: Asked | ApiError

    def jobs(self) -> Iterator[tuple[int, GenerateJob]]:
        """By the places of their results."""
        if isinstance(self.asked, ApiError):
            return
        own = {"tenant": TENANT, "priority": 1}
        for prompt, job in enumerate(self.asked.jobs):
            yield place_of(self.index, prompt), job.model_copy(update=own)


class Requests:
    """Can be read again and again, and is then the same. `check` is called at each line, and may
    raise to end it."""

    def __init__(
        self, path: Path, endpoint: Endpoint, *, max_line_bytes: int, check: Callable[[], None]
    ) -> None:
        self._path = path
        self._endpoint = endpoint
        self._max_line_bytes = max_line_bytes
        self._check = check

    def __iter__(self) -> Iterator[Request]:
        for index, line in enumerate(input_lines(self._path, self._max_line_bytes)):
            self._check()
            yield self._request(index, line.raw.record())

    def _request(self, index: int, record: Mapping[str, Any]) -> Request:
        asked: Asked | ApiError
        try:
            asked = self._endpoint.ask(record, index)
        except ApiError as error:
            asked = error
        return Request(index=index, custom_id=record["custom_id"], asked=asked)
