"""The password is in no line that a command prints, in no record, and in no process's arguments."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import redis
import trustme

from engine import EngineConfig
from jobs import Client
from tests.tls_proxy import tls_proxy
from tests.waiting import until
from worker.config import WorkerConfig
from worker.embedded import embedded_server

SECRET = "s3cr:t/with@all#of?it"
WRITTEN = quote(SECRET, safe="")
COMMANDS = {
    "worker": ["worker", "--model", "demo"],
    "submit": ["submit", "--prompt-tokens", "1"],
    "result": ["result", "a", "--timeout", "1"],
}


def start(url: str, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *arguments],
            env={**os.environ, "ROWMILL_REDIS": url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def assert_hidden(text: str) -> None:
    assert text, "something has to be there to look at"
    for part in (SECRET, WRITTEN, SECRET[:4]):
        assert part not in text


@contextmanager
def refusing(kind: str, url: str) -> Iterator[tuple[str, int]]:
    """The URL of a server that refuses, with the secret in it, and the exit code."""
    login = f"someone:{WRITTEN}@"
    socket = url.removeprefix("unix://")
    match kind:
        case "another password":
            yield f"unix://someone:{WRITTEN}x@{socket}", 3
        case "no server":
            yield f"redis://{login}127.0.0.1:1/0", 3
        case "bare characters":
            yield f"redis://someone:{SECRET}@127.0.0.1:1/0", 2
        case "a bad port":
            yield f"redis://{login}127.0.0.1:{SECRET}", 2
        case "an unknown option":
            yield f"redis://{login}127.0.0.1?{WRITTEN}={WRITTEN}", 2
        case "an unknown authority":
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            trustme.CA().issue_cert("localhost").configure_cert(context)
            with tls_proxy(socket, context) as port:
                yield f"rediss://{login}localhost:{port}?ssl_password={WRITTEN}", 3


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "kind",
    [
        "another password",
        "no server",
        "bare characters",
        "a bad port",
        "an unknown option",
        "an unknown authority",
    ],
)
def test_a_refusal_is_a_line_without_the_secret(
    url: str, tmp_path: Path, command: str, kind: str
) -> None:
    log = tmp_path / "log"
    with refusing(kind, url) as (refused, code):
        assert start(refused, COMMANDS[command], log).wait(60) == code, log.read_text()
    assert "Traceback" not in log.read_text()
    assert_hidden(log.read_text())


def test_a_worker_that_loses_its_login_and_then_its_server_tells_neither(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with embedded_server() as url, redis.Redis.from_url(url) as admin:
        rules = ["on", f">{SECRET}", "~*", "&*", "+@all"]
        admin.execute_command("ACL", "SETUSER", "someone", *rules)
        login = url.replace("unix://", f"unix://someone:{WRITTEN}@")
        worker = start(login, COMMANDS["worker"], log)
        try:
            until(lambda: admin.scard("rq:workers"), what="the worker")
            with Client(login) as client:
                client.result(client.submit(prompt_tokens=[256], max_tokens=2), timeout=60)
            assert SECRET not in " ".join(psutil.Process(worker.pid).cmdline())
            for key in admin.scan_iter():
                stored = admin.hgetall(key) if admin.type(key) == b"hash" else key
                assert_hidden(str(stored))

            admin.execute_command("ACL", "SETUSER", "someone", "resetpass", ">another")
            admin.client_kill_filter(_type="normal", skipme=True)
            admin.client_kill_filter(_type="pubsub")
            until(lambda: "username-password" in log.read_text(), what="the worker to be refused")
        except BaseException:
            worker.kill()
            raise
    try:
        until(lambda: "No such file" in log.read_text(), what="the worker to miss the server")
    finally:
        worker.terminate()
        worker.wait(120)
    assert_hidden(log.read_text())


def test_a_password_among_the_arguments_is_warned_of(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    login = url.replace("unix://", f"unix://:{WRITTEN}@")
    start("", [*COMMANDS["submit"], "--redis", login], log).wait(60)
    assert "shows in the list of processes: set ROWMILL_REDIS" in log.read_text()
    assert_hidden(log.read_text())


def test_settings_can_be_shown() -> None:
    config = WorkerConfig(
        model="demo", redis_url=f"redis://:{WRITTEN}@h", engine=EngineConfig(max_rows=1)
    )
    assert_hidden(repr(config))
