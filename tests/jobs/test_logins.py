"""What a server refuses comes as a typed error that names it, never with the password."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
import redis

from jobs import Client, LoginRefusedError, PermissionDeniedError, ServerUnavailableError

MakeClient = Callable[..., Client]

PASSWORD = "p@ss/w:rd?#%41"
"""All that has to be encoded in a URL."""


@pytest.fixture
def users(connection: redis.Redis) -> Iterator[redis.Redis]:
    """The server with a password, and with a user who may do a little."""
    rules = ["on", f">{PASSWORD}", "resetkeys", "-@all", "+hget", "~rq:job:*"]
    connection.execute_command("ACL", "SETUSER", "reader", *rules)
    connection.execute_command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
    yield connection
    connection.execute_command("ACL", "SETUSER", "default", "nopass")
    connection.execute_command("ACL", "DELUSER", "reader")


def url_of(server: str, user: str, password: str) -> str:
    return server.replace("unix://", f"unix://{user}:{quote(password, safe='')}@")


@pytest.mark.parametrize("user", ["", "default"])
def test_a_password_and_a_user_in_the_url_log_in(
    server: str, users: redis.Redis, make_client: MakeClient, user: str
) -> None:
    with make_client(url_of(server, user, PASSWORD)) as client:
        client.submit(prompt_tokens=[1])


@pytest.mark.parametrize(
    ("user", "password"), [("", "wrong-secret"), ("reader", "wrong-secret"), ("nobody", PASSWORD)]
)
def test_a_wrong_login_is_a_typed_error_without_the_password(
    server: str, users: redis.Redis, make_client: MakeClient, user: str, password: str
) -> None:
    with (
        make_client(url_of(server, user, password)) as client,
        pytest.raises(LoginRefusedError, match="invalid username-password pair") as caught,
    ):
        client.submit(prompt_tokens=[1])
    shown = "".join(traceback.format_exception(caught.value))
    assert password not in shown and quote(password, safe="") not in shown


def test_a_server_that_wants_a_password_says_so(
    server: str, users: redis.Redis, make_client: MakeClient
) -> None:
    with (
        make_client(server) as client,
        pytest.raises(LoginRefusedError, match="it wants a password"),
    ):
        client.status("a")


def test_what_a_user_may_not_do_is_named(
    server: str, users: redis.Redis, make_client: MakeClient
) -> None:
    with make_client(url_of(server, "reader", PASSWORD)) as client:
        with pytest.raises(PermissionDeniedError, match=r"'evalsha'.*docs/security\.md"):
            client.submit(prompt_tokens=[1], job_id="a")
        users.execute_command("ACL", "SETUSER", "reader", "+evalsha", "+script", "~*")
        with pytest.raises(PermissionDeniedError, match=r"ACL failure in script: .*'time'"):
            client.submit(prompt_tokens=[1], job_id="a")


@pytest.fixture
def echoing_port() -> Iterator[int]:
    """A server that knows no HELLO and repeats what it was sent, as Redis 5 did."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    words = " ".join(f"`{word}`," for word in peer.recv(4096).decode().split())
                    peer.sendall(
                        f"-ERR unknown command, with args beginning with: {words}\r\n".encode()
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_server_that_repeats_the_login_in_its_answer_puts_it_in_no_error(
    echoing_port: int, make_client: MakeClient
) -> None:
    with (
        make_client(f"redis://user:top-secret@127.0.0.1:{echoing_port}") as client,
        pytest.raises(ServerUnavailableError, match="unknown command") as caught,
    ):
        client.status("a")
    assert "top-secret" not in "".join(traceback.format_exception(caught.value))
