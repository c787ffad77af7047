"""What the fields of OpenAI's requests ask for, in batches of lines and by HTTP."""

from __future__ import annotations

from jobs.errors import InvalidJobError, brief

IGNORED_FIELDS = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
"""These change no token."""


def response_schema(wanted: object) -> object:
    """The JSON schema that `response_format` asks for, as a job takes it; None where it is text.

    Raises InvalidJobError.
    """
    match wanted:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": dict() | str() as schema}}:
            return schema
    limit = "of type text, json_object, or json_schema with a schema"
    raise InvalidJobError("response_format", brief(wanted), limit)
