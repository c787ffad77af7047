"""Whatever a caller sends, whether it fits the OpenAPI document or not, the gateway does not fail.

The operations are those of the document, so a new route is tried without a word here; an ID of
something that exists belongs into `Fuzzed.found`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from gateway import GatewayConfig, create_app
from gateway.access.api_key import hash_of
from tests.gateway.conftest import SERVED
from tests.gateway.live import Listening, listening
from tests.integration.conftest import WorkerProcess

HEADERS = {"Authorization": "Bearer rk-fuzz"}
NUM_EXAMPLES = 25


def operations() -> list[tuple[str, str, GenerationMode]]:
    """Each with what fits, and where something can be wrong, with what does not."""
    document = create_app(GatewayConfig(redis_url="unix:///nowhere", model="demo")).openapi()
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.append((method, path, GenerationMode.POSITIVE))
            if operation.keys() & {"parameters", "requestBody"}:
                found.append((method, path, GenerationMode.NEGATIVE))
    return found


class Fuzzed:
    """A gateway, its document, and by the names of parameters and fields what there is."""

    def __init__(self, gateway: Listening) -> None:
        self.schema = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")
        with httpx2.Client(base_url=f"{gateway.url}/v1", headers=HEADERS) as client:
            job = client.post("/jobs", json={"prompt_tokens": [1], "max_tokens": 8}).json()
            line = (
                b'{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"prompt":"a"}}'
            )
            parts: Any = {"file": ("lines.jsonl", line), "purpose": (None, "batch")}
            file = client.post("/files", files=parts).json()
            asked = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
            batch = client.post("/batches", json={**asked, "completion_window": "24h"}).json()
        self.found: dict[str, str] = {
            **asked,
            "batch_id": batch["id"],
            "file_id": file["id"],
            "job_id": job["ids"][0],
            "model": "demo",
            "name": "demo",
        }


@pytest.fixture(scope="module")
def fuzzed(
    url: str, worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fuzzed]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "fuzz"\nsha256 = "{hash_of("rk-fuzz")}"\n')
    config = GatewayConfig(
        redis_url=url,
        queue=SERVED,
        model="demo",
        model_name="demo",
        keys_file=keys,
        data=keys.parent / "batches",
        max_wait_seconds=0.1,
    )
    with listening(create_app(config)) as gateway:
        yield Fuzzed(gateway)


OPERATIONS = operations()


@pytest.mark.parametrize(
    ("method", "path", "mode"), OPERATIONS, ids=[" ".join(its) for its in OPERATIONS]
)
def test_no_request_makes_the_gateway_fail(
    fuzzed: Fuzzed, method: str, path: str, mode: GenerationMode
) -> None:
    operation = fuzzed.schema[path][method]

    @settings(max_examples=NUM_EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def send(data: st.DataObject) -> None:
        case: Any = data.draw(operation.as_strategy(generation_mode=mode))
        for part in (case.path_parameters, case.body):
            for name in fuzzed.found.keys() & (part if isinstance(part, dict) else {}):
                if data.draw(st.booleans()):
                    part[name] = fuzzed.found[name]
        response = case.call(headers=HEADERS, timeout=30)
        assert response.status_code < 500, response.content
        if response.status_code >= 400:
            error = response.json()["error"]
            assert error.keys() == {"message", "type", "param", "code"}

    send()
