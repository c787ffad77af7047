"""Bodies are read where they keep nobody waiting."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from starlette.requests import Request

from gateway.json_body import json_body


def request_of(raw: bytes) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": raw}

    headers = [(b"content-type", b"application/json; charset=utf-8")]
    return Request({"type": "http", "headers": headers}, receive)


@pytest.mark.parametrize(("size", "is_elsewhere"), [(10, False), (2**17, True)])
def test_a_large_body_is_read_on_a_thread_of_its_own(size: int, is_elsewhere: bool) -> None:
    body = {"prompt": "a" * size}

    def read(its: object) -> threading.Thread:
        assert its == body
        return threading.current_thread()

    async def reader() -> threading.Thread:
        return await json_body(request_of(json.dumps(body).encode()), read)

    assert (asyncio.run(reader()) is not threading.current_thread()) is is_elsewhere
