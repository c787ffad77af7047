"""What goes wrong is told on the page, in words that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.access.new_key import add_key
from jobs import Client
from tests.gateway.conftest import SERVED
from tests.gateway.page.conftest import Open, page_of
from tests.gateway.page.test_playground import rows_of
from tests.integration.conftest import WorkerProcess
from tests.waiting import until


def told(page: Any, text: str) -> str:
    """The alert, once it has this text."""
    alert = page.locator("#error[role=alert]", has_text=text)
    alert.wait_for()
    return str(alert.inner_text())


def log_in(page: Any, key: str) -> None:
    page.fill("#key", key)
    page.press("#key", "Enter")


def places_of(page: Any) -> list[str]:
    """Wherever a page can leave something, but for its session's storage."""
    cookies = page.context.cookies()
    script = "[document.documentElement.outerHTML, location.href, JSON.stringify(localStorage)]"
    values = "[...document.querySelectorAll('input, textarea')].map((its) => its.value).join()"
    return [*page.evaluate(script), page.evaluate(values), str(cookies)]


def test_where_keys_are_a_key_is_asked_for_and_stays_in_the_tab(
    url: str, worker: WorkerProcess, open_page: Open, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys", "acme")
    with page_of(url, SERVED, keys_file=tmp_path / "keys") as gateway:
        page = open_page(gateway)
        page.locator("#state.bad", has_text="An API key is needed").wait_for()
        page.click("#sample")
        assert "at the top of the page" in told(page, "An API key is needed")
        log_in(page, f"{key}x")
        page.locator("#state.bad", has_text="This API key does not count").wait_for()
        assert page.evaluate("document.activeElement.id") == "key"
        log_in(page, key)
        page.locator("#state.good").wait_for()
        page.reload()
        page.locator("#state.good").wait_for()
        assert not page.locator("#login").is_visible()
        page.click("#sample")
        page.locator("#progress", has_text="Done").wait_for()
        page.click("summary")
        assert '"Authorization: Bearer $ROWMILL_KEY"' in page.locator("#curl").inner_text()
        assert not any(key in place for place in places_of(page))
        assert page.evaluate("Object.values(sessionStorage)") == [key]
        page.click("#forget")
        page.locator("#login").wait_for()
        assert page.evaluate("sessionStorage.length") == 0
        log_in(page, "kéy")
        told(page, "This is no API key")


def test_a_field_that_is_wrong_is_named_and_marked(served: Any, open_page: Open) -> None:
    page = open_page(served)
    page.locator("#state.good").wait_for()
    page.fill("#max_tokens", "100000")
    page.click("#sample")
    assert "at most" in told(page, "max_tokens was not taken")
    assert rows_of(page) == []
    field = page.locator("#max_tokens")
    assert field.get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "max_tokens"
    page.fill("#max_tokens", "8")
    page.keyboard.press("Enter")
    page.locator("#progress", has_text="Done").wait_for()
    assert not page.locator("#error").is_visible()
    assert field.get_attribute("aria-invalid") is None


@pytest.mark.parametrize("by_keyboard", [True, False])
def test_without_a_worker_it_says_so_and_stopping_withdraws_the_job(
    url: str, idle_queue: str, open_page: Open, by_keyboard: bool
) -> None:
    with page_of(url, idle_queue) as gateway, Client(url, idle_queue) as client:
        page = open_page(gateway)
        page.locator("#state.bad", has_text="no worker serves the queue, jobs wait").wait_for()
        page.click("#sample")
        page.locator(
            "#progress", has_text="No worker serves the queue: 4 rows will wait"
        ).wait_for()
        until(lambda: client.num_queued() == 1, what="the job to be queued")
        page.keyboard.press("Escape") if by_keyboard else page.click("#stop")
        page.locator("#progress", has_text="Stopped").wait_for()
        until(lambda: client.num_queued() == 0, what="the job to be withdrawn")
        assert page.locator("#stop").is_disabled()
        assert not page.locator("#error").is_visible()


def test_a_gateway_that_stops_in_mid_stream_says_so_and_then_is_missed(
    url: str, idle_queue: str, open_page: Open
) -> None:
    with page_of(url, idle_queue) as gateway, Client(url, idle_queue) as client:
        page = open_page(gateway)
        page.click("#sample")
        until(lambda: client.num_queued() == 1, what="the job to be queued")
        gateway.stop()
        told(page, "The rows ended early")
        page.locator("#state.bad", has_text="The gateway does not answer").wait_for()
        page.click("#sample")
        told(page, "The gateway does not answer")
        assert page.locator("#stop").is_disabled()


def test_a_connection_that_breaks_is_told_beside_the_rows_so_far(
    served: Any, open_page: Open
) -> None:
    page = open_page(served)
    chunk = '{"choices":[{"index":1,"delta":{"content":"so far"},"token_ids":[1],"masks":[1]}]}'
    answer = {"content_type": "text/event-stream", "body": f"data: {chunk}\n\ndata: {{"}
    page.route("**/v1/chat/completions", lambda route: route.fulfill(**answer))
    page.click("#sample")
    assert "the same seed gives the same rows" in told(page, "The connection to the gateway broke")
    assert page.locator("#rows article").nth(1).locator("p").inner_text() == "so far"
    assert "not finished" in page.locator("#rows article").nth(1).inner_text()


def test_a_quota_that_is_used_up_is_told_with_the_time(
    url: str, worker: WorkerProcess, open_page: Open, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys", "little", rows_per_minute=4)
    with page_of(url, SERVED, keys_file=tmp_path / "keys") as gateway:
        page = open_page(gateway)
        log_in(page, key)
        page.locator("#state.good").wait_for()
        page.click("#sample")
        page.locator("#progress", has_text="Done").wait_for()
        page.click("#sample")
        assert "rows_per_minute" in told(page, "Not now: try again in ")


def test_who_is_quicker_than_the_page_is_served_as_well(served: Any, open_page: Open) -> None:
    page = open_page(served)
    held: list[Any] = []
    page.route("**/v1/models", lambda route: held.append(route))
    page.reload()
    page.click("#sample")
    until(lambda: page.evaluate("1") and len(held) == 2, what="the page to ask for the model")
    for route in held:
        route.continue_()
    page.locator("#progress", has_text="Done").wait_for()
    assert '"model":"demo"' in str(page.locator("#curl").text_content())
