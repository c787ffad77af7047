"""The application: whatever goes wrong is told in OpenAI's shape, and nothing is given away."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field

from gateway import GatewayConfig, create_app
from gateway.config import GatewayConfigError
from gateway.serving import check_address
from tests.gateway.conftest import Gateway
from tests.gateway.live import listening


class Part(BaseModel):
    text: str
    size: int = Field(default=1, ge=1, le=5)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    prompt: str | list[str] | list[int]
    parts: list[Part] = []


class Secret(Exception):
    pass


def with_routes(client: TestClient) -> TestClient:
    """Routes that fail in all ways in which one can."""
    app = client.app
    assert isinstance(app, FastAPI)

    @app.post("/order")
    async def order(order: Order, wait: int = 0) -> Order:
        return order

    @app.get("/defect")
    async def defect() -> None:
        raise Secret("a password")

    return client


@pytest.fixture
def client(gateway: Gateway) -> TestClient:
    return with_routes(gateway(max_body_bytes=1000, body_seconds=0.5))


def error_of(response: Any, status: int) -> dict[str, Any]:
    """The error of an answer, which has OpenAI's shape and nothing else."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"error"} and body["error"].keys() == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


def test_what_is_not_there_is_told(client: TestClient) -> None:
    error = error_of(client.get("/v1/nothing"), 404)
    assert "GET /v1/nothing" in error["message"] and error["code"] == "unknown_url"
    response = client.put("/healthz")
    assert "GET" in error_of(response, 405)["message"] and response.headers["allow"] == "GET"


BAD = [
    ({}, "prompt", "leaving it out"),
    ({"prompt": 3}, "prompt", "valid string, or Input should be a valid list"),
    ({"prompt": ["a", 3]}, "prompt[1]", "valid string"),
    ({"prompt": "a", "parts": [{"text": "b"}, {"text": "c", "size": 9}]}, "parts[1].size", "5"),
    ({"prompt": "a", "parts": [{"size": 2}]}, "parts[0].text", "leaving it out"),
    ({"prompt": "a", "x\ud800": 1}, None, "unicode string"),
    ([], None, "dictionary"),
]


@pytest.mark.parametrize(("body", "param", "limit"), BAD, ids=[str(bad[1]) for bad in BAD])
def test_a_bad_field_is_named_with_its_limit(
    client: TestClient, body: Any, param: str | None, limit: str
) -> None:
    content, headers = json.dumps(body), {"Content-Type": "application/json"}
    error = error_of(client.post("/order", content=content, headers=headers), 400)
    assert error["param"] == param and limit in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_bad_parameter_is_named(client: TestClient) -> None:
    error = error_of(client.post("/order?wait=soon", json={"prompt": "a"}), 400)
    assert error["param"] == "wait" and "'soon'" in error["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"prompt": "a"', b"", b"\xff\xfe\xfd", b"[" * 900, b'{"prompt": ' + b"9" * 900],
    ids=["open", "cut", "none", "no text", "deep", "long"],
)
def test_what_is_no_json_is_told(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    error_of(client.post("/order", content=body, headers=headers), 400)


def test_a_defect_of_ours_is_logged_and_not_told(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/defect", headers={"X-Request-Id": "mine-1"})
    error = error_of(response, 500)
    assert "mine-1" in error["message"] and response.headers["x-request-id"] == "mine-1"
    assert "password" not in response.text and "Traceback" not in response.text
    assert "a password" in caplog.text
    (failed,) = [record for record in caplog.records if record.message == "a request failed"]
    assert vars(failed)["request_id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "é"])
def test_a_request_id_that_could_spoil_a_log_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/healthz", headers={"X-Request-Id": given.encode()})
    made = response.headers["x-request-id"]
    assert made != given and len(made) == 32


def test_a_request_is_one_line_of_the_log_without_its_secrets(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rowmill.gateway"):
        client.get("/a%0Ab?key=secret", headers={"Authorization": "Bearer rk-secret"})
    (line,) = [record.getMessage() for record in caplog.records if record.name == "rowmill.gateway"]
    assert line.startswith("GET /a%0Ab 404 in ") and "secret" not in line


@pytest.fixture
def port(client: TestClient) -> Iterator[int]:
    assert isinstance(client.app, FastAPI)
    with listening(client.app) as gateway:
        yield gateway.port


def said(port: int, *parts: bytes) -> bytes:
    """What the gateway answers to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


HEAD = b"POST /order HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(port: int) -> None:
    answer = said(port, HEAD + b"Content-Length: 1001\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413") and b"1000 bytes" in answer


def test_a_body_that_turns_out_to_be_too_large_is_not_read_to_its_end(port: int) -> None:
    chunk = b"200\r\n" + b" " * 0x200 + b"\r\n"
    answer = said(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk)
    assert answer.startswith(b"HTTP/1.1 413") and b'"code":"body_too_large"' in answer


def test_a_body_that_stops_coming_is_not_waited_for(port: int) -> None:
    answer = said(port, HEAD + b"Content-Length: 1000\r\n\r\n", b'{"prompt"')
    assert answer.startswith(b"HTTP/1.1 408") and b"0.5 seconds" in answer


def test_a_body_of_just_the_limit_is_taken(client: TestClient) -> None:
    body = b'{"prompt": "' + b"a" * 986 + b'"}'
    assert len(body) == 1000
    for content in (body, iter([body[:500], body[500:]])):
        headers = {"Content-Type": "application/json"}
        assert client.post("/order", content=content, headers=headers).status_code == 200


def test_pages_of_other_sites_may_not_call_unless_they_are_named(gateway: Gateway) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    closed, opened = gateway(), gateway(allowed_origins=("https://a.example",))
    for answer in (closed.options("/readyz", headers=asked), closed.get("/healthz", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    allowed = opened.options("/readyz", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-credentials" not in allowed.headers
    other = opened.get("/healthz", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_gateway_for_this_machine_answers_to_no_other_name(gateway: Gateway) -> None:
    client = gateway(allowed_hosts=("127.0.0.1", "::1", "localhost"))
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:1"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "[", "", "localhost@evil.example"):
        error = error_of(client.get("/healthz", headers={"Host": host}), 403)
        assert error["code"] == "host_not_allowed"


def test_no_page_of_another_site_can_send_a_form_to_a_gateway_for_this_machine(
    gateway: Gateway, tmp_path: Any
) -> None:
    names = ("127.0.0.1", "localhost")
    client = gateway(allowed_hosts=names, data=tmp_path, allowed_origins=("https://a.example",))

    def upload(**headers: str) -> Any:
        sent = {"Host": "127.0.0.1:8000", **headers}
        form: Any = {"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": "batch"}}
        return client.post("/v1/files", headers=sent, **form)

    for origin in ("https://b.example", "null", "http://localhost:3000", "http://127.0.0.1"):
        assert error_of(upload(Origin=origin), 403)["code"] == "origin_not_allowed"
    assert client.get("/v1/files", headers={"Host": "localhost"}).json()["data"] == []
    for origin in ("https://a.example", "http://127.0.0.1:8000"):
        assert upload(Origin=origin).status_code == 200
    assert upload().status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "", "127.0.0.1.b"])
def test_a_gateway_without_keys_is_for_this_machine_alone(host: str, tmp_path: Any) -> None:
    config = GatewayConfig(redis_url="unix:///nowhere")
    with pytest.raises(GatewayConfigError, match="keys file"):
        check_address(host, config)
    check_address(host, GatewayConfig(redis_url="unix:///nowhere", keys_file=tmp_path / "keys"))
    for loopback in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        check_address(loopback, config)


SETTINGS: list[tuple[str, Any, str]] = [
    ("max_body_bytes", 0, "max_body_bytes must be from 1"),
    ("max_file_bytes", -1, "max_file_bytes must be from 1"),
    ("max_queued", 0, "max_queued must be from 1"),
    ("max_wait_seconds", -1, "max_wait_seconds must be from 0"),
    ("heartbeat_seconds", 0, "heartbeat_seconds must be from 0.01"),
    ("drain_seconds", float("nan"), "drain_seconds must be from 0"),
    ("allowed_origins", ("example.com",), "allowed_origins: 'example.com'"),
    ("allowed_origins", ("https://a.example/path",), "allowed_origins"),
]


@pytest.mark.parametrize(("name", "value", "told"), SETTINGS)
def test_a_bad_setting_is_told_by_its_name_and_limit(name: str, value: Any, told: str) -> None:
    with pytest.raises(GatewayConfigError, match=told):
        GatewayConfig(**{"redis_url": "unix:///nowhere", name: value})


def test_ready_means_that_the_queue_s_server_answers(gateway: Gateway) -> None:
    assert gateway().get("/readyz").json() == {"status": "ok", "workers": 0}
    config = GatewayConfig(redis_url="unix:///nowhere/at/all")
    with TestClient(create_app(config)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        response = client.get("/readyz")
        error = error_of(response, 503)
        assert error["code"] == "no_server" and "can't be reached" in error["message"]
        assert "nowhere" not in response.text and int(response.headers["retry-after"]) > 0
