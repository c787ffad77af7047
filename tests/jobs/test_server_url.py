"""A URL that would mean another server is refused before it is opened, and not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import InvalidJobError
from jobs.connection import address_of, open_connection
from jobs.server_url import check_url, secrets_of

WITH_A_BARE_CHARACTER = [
    "redis://user:1234/secret@host:6379/0",
    "redis://user:1234#secret@host:6379/0",
    "redis://user:1234?secret@host:6379/0",
    "redis://:1234/5678@secret",
    "rediss://user:1234/secret@host",
    "unix://user:1234/secret@/path",
    "unix://:1234/secret@/path",
    "unix://user/secret:1234@/path",
]
"""Each would connect to a host or socket whose name is a piece of the password."""


@pytest.mark.parametrize("url", WITH_A_BARE_CHARACTER)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidJobError, match="is not allowed") as caught:
        open_connection(url)
    assert "1234" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", "localhost:6379"),
        ("redis://h", "h:6379"),
        ("redis://h:1/2", "h:1"),
        ("redis://user:p%2F%3F%23%40%25@h:1/0", "h:1"),
        ("redis://:secret@[::1]:7/0?max_connections=5", "::1:7"),
        ("rediss://:secret@h", "h:6379 (TLS)"),
        ("unix://user:secret@/run/s?db=1", "unix:///run/s"),
    ],
)
def test_a_good_url_is_a_server_s_address(url: str, address: str) -> None:
    with open_connection(url) as connection:
        assert address_of(connection) == address
        assert "secret" not in repr(connection)


def test_user_and_password_are_decoded() -> None:
    with open_connection("redis://us%3Aer:p%2F%3F%23%40%25@h") as connection:
        known = connection.get_connection_kwargs()
    assert (known["username"], known["password"]) == ("us:er", "p/?#@%")


@pytest.mark.parametrize(
    ("url", "limit"),
    [
        ("redis://h/zero", "redis://"),
        ("redis://h:0", "redis://"),
        ("redis://h:port", "redis://"),
        ("redis://[h", "redis://"),
        ("unix://run/s", "unix://"),
        ("unix://", "unix://"),
        ("redis://h?colour=red", "one of client_name, db"),
        ("redis://h?ssl_cert_reqs=none", "rediss://"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "a file that is there"),
    ],
)
def test_a_bad_url_is_told_what_is_allowed(url: str, limit: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        check_url(url)
    assert caught.value.field == "url"
    assert limit in caught.value.limit


def test_options_for_tls_go_with_rediss(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    check_url(f"rediss://h?ssl_ca_certs={authority}&ssl_check_hostname=false")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://h", ()),
        ("redis://user@h", ()),
        ("redis://user:pass%2Fword@h", ("pass%2Fword", "pass/word")),
        (
            "rediss://:word@h?ssl_password=pass%20phrase&db=1",
            ("pass%20phrase", "pass phrase", "word"),
        ),
        ("redis://h?password=pass-word", ("pass-word",)),
        ("redis://user:abc@h", ()),  # so short that half of all lines have it
        ("redis://[h", ()),
    ],
)
def test_what_is_secret_is_found_as_it_is_written_and_as_it_is_sent(
    url: str, secrets: tuple[str, ...]
) -> None:
    assert secrets_of(url) == secrets
