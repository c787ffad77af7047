"""What a row's text has to be, whichever way a request says it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from gateway.errors import api_error
from jobs import InvalidJobError
from jobs.errors import brief
from jobs.openai_fields import response_schema

STRUCTURES = ("json_schema", "regex", "grammar")
"""A job's fields, which are a request's, too."""
_OUTPUTS = {"json": "json_schema", "regex": "regex", "grammar": "grammar"}
"""Likewise, by their names in vLLM's `structured_outputs`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """`field` of a job, its value, and what the request calls it."""

    field: str
    value: Any
    name: str


class _Request(Protocol):
    """The fields by which a request can ask for a structure."""

    @property
    def response_format(self) -> Mapping[str, Any] | None: ...
    @property
    def structured_outputs(self) -> Mapping[str, Any] | None: ...


def structure_of(request: _Request) -> Structure | None:
    """The one that a request asks for. Raises ApiError for a second one."""
    try:
        found = [*_structures(request)]
        for other in found[1:]:
            raise InvalidJobError(other.name, "a structure", f"left out beside {found[0].name}")
    except InvalidJobError as error:
        raise api_error(error) from error
    return found[0] if found else None


def _structures(request: _Request) -> Iterator[Structure]:
    if request.response_format is not None:
        schema = response_schema(request.response_format)
        if schema is not None:
            yield Structure(field="json_schema", value=schema, name="response_format")
    for output, value in (request.structured_outputs or {}).items():
        if output not in _OUTPUTS:
            limit = f"one of {', '.join(_OUTPUTS)}"
            raise InvalidJobError("structured_outputs", brief(output), limit)
        if value is not None:
            yield Structure(
                field=_OUTPUTS[output], value=value, name=f"structured_outputs.{output}"
            )
    for field in STRUCTURES:
        value = getattr(request, field)
        if value is not None:
            yield Structure(field=field, value=value, name=field)
