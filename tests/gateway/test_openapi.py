"""The OpenAPI document: whole, and true to itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from gateway import GatewayConfig, create_app
from jobs import GenerateJob

DOCUMENT = create_app(GatewayConfig(redis_url="unix:///nowhere", model="demo")).openapi()
OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The request's and the answers' by status and type."""
    parts = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for part, its in parts.items():
        for kind, content in its.get("content", {}).items():
            yield part, kind, content


def examples(content: dict[str, Any]) -> list[Any]:
    found = [example["value"] for example in content.get("examples", {}).values()]
    if "example" in content:
        found.append(content["example"])
    named = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return found + DOCUMENT["components"]["schemas"].get(named, {}).get("examples", [])


def test_the_document_is_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_is_described_with_an_example_of_all_that_comes_and_goes(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"] and operation["description"] and operation["tags"]
    for part, kind, content in contents(operation):
        if kind != "multipart/form-data":
            assert examples(content), (part, kind)
    assert "500" in operation["responses"]
    assert ("401" in operation["responses"]) == ("security" in operation)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_fits_its_schema(name: str) -> None:
    for part, kind, content in contents(OPERATIONS[name]):
        schema = {**content.get("schema", {}), "components": DOCUMENT["components"]}
        for example in examples(content):
            problems = [*jsonschema_rs.Draft202012Validator(schema).iter_errors(example)]
            assert not problems, (part, kind, problems)


def test_a_job_has_the_fields_and_the_limits_of_a_generate_job() -> None:
    properties = DOCUMENT["components"]["schemas"]["Job"]["properties"]
    own = {"tenant", "priority", "reply_to"}
    assert properties.keys() == (GenerateJob.model_fields.keys() - own) | {"prompt"}
    assert properties["num_samples"]["maximum"] == 65535
    assert "None" not in str({its["description"] for its in properties.values()})
