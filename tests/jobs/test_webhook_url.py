"""A webhook's URL has one reading, and what could have two is none."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.webhook_url import URL_LIMIT, URL_PATTERN, WebhookUrl


@pytest.mark.parametrize(
    ("url", "parts", "authority"),
    [
        ("https://Example.com", ("https", "example.com", 443, "/"), "example.com"),
        ("http://a_b:8080/x/?y=1", ("http", "a_b", 8080, "/x/?y=1"), "a_b:8080"),
        ("https://a:443?y", ("https", "a", 443, "/?y"), "a"),
        ("http://[2001:DB8::1]:81/", ("http", "2001:db8::1", 81, "/"), "[2001:db8::1]:81"),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int, str], authority: str) -> None:
    assert tuple(WebhookUrl.parse(url)) == parts
    assert WebhookUrl.parse(url).authority == authority


@given(st.from_regex(re.compile(URL_PATTERN, re.ASCII), fullmatch=True))
def test_python_s_own_reader_sees_the_same_host(url: str) -> None:
    try:
        read = WebhookUrl.parse(url)
    except ValueError:
        return
    parts = urlsplit(url) if "[" not in url else None  # it refuses many addresses of IPv6
    if parts is not None:
        assert (parts.scheme, parts.hostname, parts.username) == (read.scheme, read.host, None)


@given(st.text(alphabet="htps:/@#?[]\\.a1 \t\n%é", max_size=30))
def test_what_is_no_url_is_refused_and_not_shown(url: str) -> None:
    try:
        read = WebhookUrl.parse(f"http://{url}")
    except ValueError as error:
        assert str(error) == f"the URL must be {URL_LIMIT}", "no part of it is told"
        return
    assert not set("@#\\/? \t\n%é") & set(read.host)
