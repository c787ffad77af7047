"""Whatever a caller sends, whether it fits the OpenAPI document or not, the gateway does not fail.

The operations are those of the document, so a new route is tried without a word here; `found` is
where an ID belongs that exists.
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
    """A gateway, its document, and by the names of path parameters what is there to be found."""

    def __init__(self, gateway: Listening) -> None:
        self.schema = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")
        job = {"prompt_tokens": [1], "max_tokens": 8}
        response = httpx2.post(f"{gateway.url}/v1/jobs", json=job, headers=HEADERS)
        self.found: dict[str, str] = {"job_id": response.json()["ids"][0], "name": "demo"}


@pytest.fixture(scope="module")
def fuzzed(
    url: str, worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fuzzed]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "fuzz"\nsha256 = "{hash_of("rk-fuzz")}"\n')
    config = GatewayConfig(
        redis_url=url, queue=SERVED, model="demo", keys_file=keys, max_wait_seconds=0.1
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
        for name in (case.path_parameters or {}).keys() & fuzzed.found.keys():
            if data.draw(st.booleans()):
                case.path_parameters[name] = fuzzed.found[name]
        if isinstance(case.body, dict) and "model" in case.body and data.draw(st.booleans()):
            case.body["model"] = "demo"
        response = case.call(headers=HEADERS, timeout=30)
        assert response.status_code < 500, response.content
        if response.status_code >= 400:
            error = response.json()["error"]
            assert error.keys() == {"message", "type", "param", "code"}

    send()
