"""Failure: an input without rows, and why."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A line of failures.jsonl.

    `index`: of the input; `location`: file and line or row; `kind`: "bad line", or the name of the
    error that its job ended with.
    """

    index: int
    id: str | None
    location: str
    kind: str
    reason: str

    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self)) + "\n"
