"""A headless Chromium on the page of a real gateway, before a real worker."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from gateway import GatewayConfig, create_app
from jobs import Client
from tests.gateway.conftest import SERVED
from tests.gateway.live import listening
from tests.integration.conftest import WorkerProcess

Open = Callable[..., Any]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextlib.contextmanager
def page_of(url: str, queue: str, **settings: Any) -> Iterator[Any]:
    """A gateway that listens, whose page is at its `.url`."""
    config = GatewayConfig(
        redis_url=url, queue=queue, model="demo", model_name="demo", drain_seconds=0.0, **settings
    )
    with listening(create_app(config)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def served(url: str, worker: WorkerProcess) -> Iterator[Any]:
    with page_of(url, SERVED) as gateway:
        yield gateway


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """Of the queue that has a worker."""
    with Client(url, SERVED) as opened:
        yield opened


@pytest.fixture
def idle_queue() -> str:
    """Of no worker."""
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a gateway's page. At the end none has asked for anything of others, nor failed."""
    opened: list[Any] = []
    complaints: list[str] = []

    def note(kind: str, text: str) -> None:
        if "Failed to load resource" not in text:  # an answer of 400 and more, which the page shows
            complaints.append(f"{kind}: {text}")

    def open_it(gateway: Any, **options: Any) -> Any:
        context = browser.new_context(**options)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: note(message.type, message.text))
        page.on("pageerror", lambda error: note("error", str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((f"{gateway.url}/", "data:"))
                else complaints.append(f"asks for {request.url}")
            ),
        )
        page.goto(gateway.url)
        return page

    yield open_it
    for context in opened:
        context.close()
    assert complaints == []
