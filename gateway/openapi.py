"""The OpenAPI document: /openapi.json."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.error_docs import errors
from gateway.native.job_schema import job_schemas
from gateway.openai.request_schema import request_schemas

_FRAMEWORK_S = ("HTTPValidationError", "ValidationError")
_DESCRIPTION = """\
A queue of generation jobs, by HTTP. A row's tokens depend on the model, the prompt, the sampling
fields, the seed and the row's index, and on nothing else.

Every answer carries `X-Request-Id`: the caller's, if it gave one, or the gateway's. Errors have the
shape of OpenAI's.
"""


def document_routes(app: FastAPI) -> None:
    """Let the application describe itself so."""
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in _FRAMEWORK_S:
            schemas.pop(name, None)
        schemas |= job_schemas()
        schemas |= request_schemas(app.state.services.served.model)
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    """With the errors that any such route may answer with, and without the framework's own."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    statuses = {500, *_told_by(responses)}
    if "security" in operation:
        statuses |= {401, 503}
    if "parameters" in operation:
        statuses |= {400}
    if "requestBody" in operation:
        statuses |= {400, 413, 429}
    for status, response in errors(*statuses).items():
        schema = {"$ref": f"#/components/schemas/{response.pop('model').__name__}"}
        response["content"]["application/json"]["schema"] = schema
        responses[str(status)] = response


def _told_by(responses: dict[str, Any]) -> list[int]:
    """The errors that a route named; from their examples the framework leaves out what is null."""
    return [int(status) for status, its in responses.items() if "/ErrorBody" in str(its)]
