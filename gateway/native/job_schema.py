"""How the OpenAPI document tells of a job: the fields of a GenerateJob with their limits."""

from __future__ import annotations

import json
from typing import Any

from gateway.native.job_request import MAX_JOBS, OF_THE_KEY, PROMPT
from jobs import GenerateJob

_JOB = {"$ref": "#/components/schemas/Job"}
_PROMPT = "text, which the gateway's tokenizer encodes as it is; instead of prompt_tokens"
_ALSO: dict[str, Any] = {
    "json_schema": {"type": "object"},
    "logit_bias": {"type": "object", "additionalProperties": {"type": "number"}},
}
"""What these fields may be, too."""
_ABOUT = ("title", "description", "default")

_ONE = {"prompt": "What is 2 + 3?", "num_samples": 4, "seed": 7, "max_tokens": 32}
EXAMPLES = {
    "text": {"summary": "Four rows for a text", "value": _ONE},
    "tokens": {
        "summary": "Tokens, to be streamed",
        "value": {"prompt_tokens": [72, 105], "max_tokens": 16, "stream": True},
    },
    "many": {
        "summary": "Many jobs",
        "value": {"jobs": [_ONE, {**_ONE, "temperature": 0.7, "top_k": 50}]},
    },
}


def job_schemas() -> dict[str, Any]:
    """For the document's components."""
    text = json.dumps(GenerateJob.model_json_schema())
    schema = json.loads(text.replace("None or ", "null or "))  # in JSON's words
    properties = {
        name: _field(name, field)
        for name, field in schema["properties"].items()
        if name not in OF_THE_KEY
    }
    job = {
        "title": "Job",
        "type": "object",
        "description": "One prompt and how to sample from it: `prompt` or `prompt_tokens`, and any "
        "other fields. Each field's description is its limit.",
        "properties": {PROMPT: {"type": "string", "description": _PROMPT}, **properties},
        "additionalProperties": False,
        "oneOf": [{"required": [PROMPT]}, {"required": ["prompt_tokens"]}],
    }
    jobs = {
        "title": "Jobs",
        "type": "object",
        "properties": {
            "jobs": {"type": "array", "items": _JOB, "minItems": 1, "maxItems": MAX_JOBS}
        },
        "required": ["jobs"],
        "additionalProperties": False,
    }
    return {"Job": job, "Jobs": jobs}


def request_body() -> dict[str, Any]:
    """Of the route that takes jobs."""
    schema = {"oneOf": [_JOB, {"$ref": "#/components/schemas/Jobs"}]}
    content = {"application/json": {"schema": schema, "examples": EXAMPLES}}
    return {"requestBody": {"required": True, "content": content}}


def _field(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name not in _ALSO:
        return schema
    kept: dict[str, Any] = {its: schema.pop(its) for its in _ABOUT if its in schema}
    return {**kept, "anyOf": [*schema.get("anyOf", [schema]), _ALSO[name]]}
