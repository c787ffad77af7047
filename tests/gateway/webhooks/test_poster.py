"""One request goes to the host of its URL, over TLS that proves it, and ends in bounded time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.webhooks import WebhooksConfig, WebhooksConfigError
from gateway.webhooks.guarded_network import GuardedNetwork
from gateway.webhooks.poster import Answer, ForbiddenHostError, NoAnswerError, Poster
from jobs.webhook_url import WebhookUrl
from tests.gateway.webhooks.receiver import Receiver, receiver

NAME = "hooks.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    its, path = trustme.CA(), tmp_path_factory.mktemp("ca") / "ca.pem"
    its.cert_pem.write_to_path(path)
    return its, path


@contextmanager
def tls_receiver(authority: trustme.CA, name: str) -> Iterator[Receiver]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    with receiver(context) as its:
        yield its


def post(url: str, **settings: Any) -> Answer:
    """All names are of this machine."""
    config = WebhooksConfig(redis_url="redis://", allows_private=True, **settings)
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    network = GuardedNetwork(allows_private=True, num_lookups=1, lookup=lambda *_: [entry])

    async def send() -> Answer:
        poster = Poster(config, network)
        try:
            return await poster.post(WebhookUrl.parse(url), {"webhook-id": "a"}, b"{}")
        finally:
            await poster.close()

    return asyncio.run(send())


def test_tls_and_the_host_header_go_by_the_name_though_the_address_was_chosen(
    authority: tuple[trustme.CA, Path],
) -> None:
    with tls_receiver(authority[0], NAME) as service:
        url = f"https://{NAME}:{service.port}/a?b=c"
        assert post(url, ca_file=authority[1]).status == 204
        (got,) = service.posts
    assert (got.path, got.headers["Host"]) == ("/a?b=c", f"{NAME}:{service.port}")


@pytest.mark.parametrize(("name", "trusted"), [("other.example.com", True), (NAME, False)])
def test_a_certificate_of_another_name_or_an_unknown_authority_gets_nothing(
    authority: tuple[trustme.CA, Path], name: str, trusted: bool
) -> None:
    with tls_receiver(authority[0], name) as service:
        settings = {"ca_file": authority[1]} if trusted else {}
        with pytest.raises(NoAnswerError, match="TLS: "):
            post(f"https://{NAME}:{service.port}/", **settings)
    assert service.posts == []


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("7", 7), ("soon", None), ("-1", None), ("9" * 500, 999_999_999), ("", None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_when_to_come_back_is_read_as_a_number_or_a_date(
    service: Receiver, asked: str, seconds: float | None
) -> None:
    service.answers["/"] = [(503, {"retry-after": asked})]
    assert post(service.url("/")) == Answer(503, seconds)


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("a.example.com", True),
        ("A.Example.COM", True),
        ("a.example.com.", True),
        ("example.com", False),
        ("a.example.com.evil.org", False),
        ("aexample.com", False),
    ],
)
def test_the_allowed_hosts_are_patterns_of_whole_names(
    service: Receiver, host: str, is_allowed: bool
) -> None:
    url = f"http://{host}:{service.port}/"
    if is_allowed:
        assert post(url, allowed_hosts=("*.Example.com",)).status == 204
    else:
        with pytest.raises(ForbiddenHostError):
            post(url, allowed_hosts=("*.Example.com",))
    assert len(service.posts) == is_allowed


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accepts one connection, and lets a test's function play the receiver."""

    def run() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                connection.recv(65536)
                serve(connection)
            except OSError:
                pass  # it was left, which is what most tests are about

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def forever(first: bytes, then: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(then)
            if len(then) < 100:
                threading.Event().wait(0.02)

    return serve


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (forever(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), "in time"),
        (forever(b"HTTP/1.1 200 OK\r\n", b"x"), "in time"),
        (forever(b"HTTP/1.1 200 OK\r\n", b"a: " + b"x" * 5000 + b"\r\n"), "no answer in HTTP"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), "no answer in HTTP"),
        (lambda connection: None, "no answer in HTTP"),
    ],
    ids=["only-informational", "slow-headers", "endless-headers", "no-http", "nothing"],
)
def test_what_is_no_answer_ends_in_time(
    serve: Callable[[socket.socket], None], reason: str
) -> None:
    with raw_server(serve) as port, pytest.raises(NoAnswerError, match=reason):
        post(f"http://{NAME}:{port}/", timeout=1.0)


@pytest.mark.parametrize("chunk", [b"x", b"x" * 60_000], ids=["slow", "large"])
def test_a_body_without_an_end_does_not_matter(chunk: bytes) -> None:
    with raw_server(forever(b"HTTP/1.1 200 OK\r\n\r\n", chunk)) as port:
        assert post(f"http://{NAME}:{port}/").status == 200


def test_a_port_where_nobody_listens_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NoAnswerError, match="no connection: refused"):
        post(f"http://{NAME}:{port}/")


def test_a_name_that_tls_can_t_ask_for_is_no_answer(service: Receiver) -> None:
    with pytest.raises(NoAnswerError):
        post(f"https://.{'a' * 70}.example.com:{service.port}/")


def test_a_file_of_authorities_that_can_t_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebhooksConfigError, match="ca_file"):
        post("https://a", ca_file=tmp_path / "none.pem")
