"""A service that gets webhooks: a real HTTP server on loopback, told what to answer."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import ssl
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import until


@dataclasses.dataclass(frozen=True, kw_only=True)
class Post:
    path: str
    headers: Message
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def job_id(self) -> str:
        return str(self.told["data"]["job_id"])


@dataclasses.dataclass(kw_only=True)
class Receiver:
    """`answers`: by path, what the next requests get, the last of them for ever: a status, or one
    with headers. All others get 204. Paths under /slow get none until `released`."""

    port: int = 0
    answers: dict[str, list[int | tuple[int, Mapping[str, str]]]] = dataclasses.field(
        default_factory=dict
    )
    released: threading.Event = dataclasses.field(default_factory=threading.Event)
    posts: list[Post] = dataclasses.field(default_factory=list)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def of(self, job_id: str) -> list[Post]:
        return [post for post in list(self.posts) if post.job_id == job_id]

    def wait_for(self, job_id: str, number: int = 1) -> list[Post]:
        until(lambda: len(self.of(job_id)) >= number, what=f"{number} webhooks of {job_id}")
        return self.of(job_id)

    def answer(self, post: Post) -> tuple[int, Mapping[str, str]]:
        if post.path.startswith("/slow"):
            self.released.wait(60)
        given = self.answers.get(post.path, [204])
        answer = given.pop(0) if len(given) > 1 else given[0]
        return (answer, {}) if isinstance(answer, int) else answer


@contextlib.contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    its = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post(path=self.path, headers=self.headers, body=body)
            its.posts.append(post)
            status, headers = its.answer(post)
            with contextlib.suppress(OSError):  # it was killed meanwhile, as it should be
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        do_GET = do_POST

        def log_message(self, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: object) -> None: ...  # who refuses our certificate

    with Server(("", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        its.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield its
        its.released.set()
        server.shutdown()
        thread.join()


def is_signed(post: Post, secret: str) -> bool:
    """The check of the Standard Webhooks scheme, and HMAC itself, from their definitions."""
    key = b64decode(secret.removeprefix("whsec_")).ljust(64, b"\0")
    assert len(key) == 64, "a longer key would be hashed first"
    head = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}."
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + head.encode() + post.body)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner.digest())
    expected = "v1," + b64encode(outer.digest()).decode()
    return expected in post.headers["webhook-signature"].split(" ")
