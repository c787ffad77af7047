"""The playground shows rows as they are sampled: those that any client gets."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
import urllib.request
from typing import Any

from gateway.openai.asked import Served
from gateway.openai.chat_request import read_chat
from gateway.openai.completion_request import read_completion
from jobs import Client
from tests.gateway.page.conftest import Open
from vocab import load_tokenizer

TOKENIZER = load_tokenizer("demo")


def fill(page: Any, **fields: object) -> None:
    for name, value in fields.items():
        page.fill(f"#{name}", str(value))


def rows_of(page: Any) -> list[str]:
    """The rows' texts as they stand."""
    texts: list[str] = page.locator("#rows article > p").all_text_contents()
    return texts


def sample(page: Any) -> list[str]:
    page.click("#sample")
    page.locator("#progress", has_text="Done").wait_for()
    return rows_of(page)


def as_client(client: Client, body: dict[str, Any]) -> list[str]:
    """The rows of the same request, by the queue alone."""
    read = read_chat if "messages" in body else read_completion
    asked = read({"model": "demo", **body}, Served("demo", TOKENIZER))
    rows = client.result(client.submit(asked.jobs[0]), 60).rows
    return [TOKENIZER.decode(row.tokens) for row in rows]


def test_rows_stream_in_and_are_the_rows_of_any_client(
    served: Any, client: Client, open_page: Open
) -> None:
    page = open_page(served)
    page.locator("#state.good", has_text="demo: 1 worker").wait_for()
    page.check("[name=kind][value=text]")
    fill(page, prompt="It was 12 and 7, and so", n=8, max_tokens=220, temperature=2, seed=11)
    page.click("#sample")
    lengths = {0}
    while not page.locator("#progress", has_text="Done").count():
        lengths.add(sum(map(len, rows_of(page))))
        assert not page.locator("#error").is_visible()
    assert len(lengths) > 4, lengths
    body = {"prompt": "It was 12 and 7, and so", "n": 8, "max_tokens": 220, "temperature": 2.0}
    rows = rows_of(page)
    assert rows == as_client(client, {**body, "top_p": 1.0, "seed": 11})
    assert len(set(rows)) > 1
    assert page.locator("#rows article.open").count() == 0
    assert page.locator("#stop").is_disabled()


def test_what_a_tool_forced_is_set_apart_from_what_was_asked_and_sampled(
    served: Any, client: Client, open_page: Open
) -> None:
    page = open_page(served)
    fill(page, prompt="What is 17 + 25?", n=2, seed=3)
    rows = sample(page)
    body = {"n": 2, "max_tokens": 96, "seed": 3}
    messages = [{"role": "user", "content": "What is 17 + 25?"}]
    assert rows == as_client(client, {**body, "messages": messages})
    for row in page.locator("#rows article").all():
        assert row.locator(".call").all_text_contents() == ["17 + 25"]
        assert row.locator(".forced").all_text_contents() == ["42"]
        assert "tokens · stop" in row.inner_text()
    assert page.locator("#legend").is_visible()
    name = page.locator("#rows .named").first
    assert not name.is_visible()
    page.check("#special")
    assert name.is_visible()
    assert name.get_attribute("data-name") == "<|python_start|>"


def test_the_curl_line_gives_the_same_rows(served: Any, open_page: Open) -> None:
    page = open_page(served)
    page.locator("#state.good").wait_for()
    fill(page, prompt='It\'s 6*7 "=" $HOME \\ é\n', n=2, max_tokens=12, seed=5)
    rows = sample(page)
    page.click("summary")
    line = page.locator("#curl").inner_text()
    if shutil.which("curl"):
        ran = subprocess.run(["sh", "-c", f"{line} -sS"], capture_output=True, check=True)
        answer = json.loads(ran.stdout)
    else:
        url, header, data = (word for word in shlex.split(line)[1:] if word not in ("-H", "-d"))
        name, value = header.split(": ")
        request = urllib.request.Request(url, data.encode(), {name: value})
        with urllib.request.urlopen(request) as opened:
            answer = json.load(opened)
    assert [choice["message"]["content"] for choice in answer["choices"]] == rows


def test_all_can_be_done_by_keyboard(served: Any, open_page: Open) -> None:
    page = open_page(served)
    page.locator("#state.good").wait_for()
    order = []
    for _ in range(10):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    fields = ["n", "max_tokens", "temperature", "top_p", "seed"]
    assert order[:3] == ["skip", "", "prompt"] and order[3:9] == [*fields, "sample"]
    page.locator("#prompt").focus()
    page.keyboard.press("Control+Enter")
    page.locator("#progress", has_text="Done").wait_for()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#curl").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "copy"
    page.keyboard.press("Enter")
    page.locator("#copied", has_text="op").wait_for()  # copied, or selected to be copied


def test_a_new_sample_takes_the_place_of_the_one_that_runs(served: Any, open_page: Open) -> None:
    page = open_page(served)
    page.check("[name=kind][value=text]")
    fill(page, prompt="a", n=8, max_tokens=220, temperature=2)
    page.click("#sample")
    page.locator("#rows article").first.wait_for()
    fill(page, prompt="What is 2 + 3?", n=1, max_tokens=8)
    rows = sample(page)
    time.sleep(0.2)  # nothing of the first comes behind
    assert rows_of(page) == rows and len(rows) == 1
    assert not page.locator("#error").is_visible()
