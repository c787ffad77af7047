"""The page is static, strict, and fits whoever looks at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway import page as page_package
from tests.gateway.conftest import Gateway
from tests.gateway.page.conftest import Open

FOLDER = Path(page_package.__file__).parent
HTML = (FOLDER / "index.html").read_text()
CSS = (FOLDER / "page.css").read_text()
OF_SVG = "http://www.w3.org/2000/svg"
READ_ON = [
    *(("ink", paper) for paper in ("paper", "card", "forced")),
    *(("quiet", paper) for paper in ("paper", "card")),
    *(("accent", paper) for paper in ("paper", "card")),
    *(("bad", paper) for paper in ("paper", "bad-paper")),
    ("on-accent", "accent"),
]


def test_its_files_need_no_key_and_hold_nothing_of_others(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    client = gateway(keys_file=tmp_path / "keys")
    names = {file.name for file in FOLDER.iterdir() if file.suffix in (".css", ".html", ".js")}
    for name in names:
        answer = client.get("/" if name == "index.html" else f"/{name}")
        assert answer.status_code == 200, name
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(r"(https?:)?//\w", answer.text.replace(OF_SVG, "")), name
        assert (FOLDER / name).read_text() == answer.text
    assert client.get("/__init__.py").status_code == 404
    assert sum((FOLDER / name).stat().st_size for name in names) < 50_000


def test_nothing_is_inline_and_every_control_has_a_name() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", HTML)
    named = set(re.findall(r'<label for="(\w+)"', HTML))
    for kind, attributes in re.findall(r"<(input|textarea)\b([^>]*)>", HTML):
        is_inside = re.search(r'type="(radio|checkbox)"', attributes)
        found = re.search(r'id="(\w+)"', attributes)
        assert is_inside or (found and found[1] in named), (kind, attributes)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4) for p in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_wants(scheme: int) -> None:
    """AA: 4.5 for text."""
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
    colors = {name: colors[scheme] for name, *colors in pairs}
    for ink, paper in READ_ON:
        low, high = sorted((_luminance(colors[ink]), _luminance(colors[paper])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)
    for edge, paper in (("edge", "card"), ("forced-edge", "card")):  # 3 for controls
        low, high = sorted((_luminance(colors[edge]), _luminance(colors[paper])))
        assert (high + 0.05) / (low + 0.05) >= 3, (edge, paper)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_never_scrolls_sideways(served: Any, open_page: Open, width: int) -> None:
    page = open_page(served, viewport={"width": width, "height": 720}, has_touch=width < 1000)
    page.locator("#state.good").wait_for()

    def fits() -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth") <= width)

    assert fits()
    page.fill("#prompt", "w" * 300)
    page.click("#sample")
    page.locator("#progress", has_text="Done").or_(page.locator("#error")).first.wait_for()
    page.fill("#prompt", "What is 17 + 25?")
    page.click("#sample")
    page.locator("#progress", has_text="Done").wait_for()
    page.check("#special")
    page.click("summary")
    assert fits()
    page.fill("#max_tokens", "9" * 15)
    page.click("#sample")
    page.locator("#error strong").wait_for()
    assert fits()


def test_only_what_a_listener_needs_is_announced(served: Any, open_page: Open) -> None:
    """Rows grow by many pieces a second: their end is announced, they are not."""
    page = open_page(served)
    live = page.locator("[aria-live], [role=status], [role=alert]")
    ids = {its.get_attribute("id") for its in live.all()}
    assert ids == {"state", "error", "progress", "copied"}


def test_who_wants_no_motion_sees_none(served: Any, open_page: Open) -> None:
    script = "getComputedStyle(document.querySelector('#rows p'), '::after').animationName"
    for motion, animation in (("reduce", "none"), ("no-preference", "blink")):
        page = open_page(served, reduced_motion=motion)
        page.route("**/v1/chat/completions", lambda route: None)  # it never answers
        page.click("#sample")
        page.locator("#rows article.open").first.wait_for()
        assert page.evaluate(script) == animation
        page.keyboard.press("Escape")
