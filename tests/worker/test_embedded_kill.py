"""Whoever is killed: a wanted server comes back, one that nobody wants ends, and data stays."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from jobs.connection import open_connection
from tests.waiting import until
from tests.worker.processes import is_gone, server_pid
from worker.embedded import EmbeddedServer, EmbeddedServerError, embedded_server, socket_url

OWNER = """
import sys, time
from pathlib import Path
from worker.embedded import embedded_server
with embedded_server(*map(Path, sys.argv[1:])) as url:
    print(url, flush=True)
    time.sleep(600)
"""

StartOwner = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start_owner() -> Iterator[StartOwner]:
    """Starts a process that has a server, on a folder or a temporary one; gives its URL, too."""
    started: list[subprocess.Popen[str]] = []

    def start(*folder: Path) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", OWNER, *map(str, folder)]
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(owner)
        assert owner.stdout is not None
        return owner, owner.stdout.readline().strip()

    yield start
    for owner in started:
        owner.kill()
        owner.communicate()


def _keeper(connection: redis.Redis) -> psutil.Process:
    keeper = psutil.Process(server_pid(connection)).parent()
    assert keeper is not None and "worker.server_keeper" in keeper.cmdline()
    return keeper


def test_a_server_that_dies_is_started_again_with_its_data(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded_server(folder) as url, open_connection(url) as connection:
        for number, how in enumerate((signal.SIGKILL, signal.SIGTERM)):
            connection.rpush("numbers", number)
            killed = server_pid(connection)
            os.kill(killed, how)
            until(lambda killed=killed: server_pid(connection) not in (0, killed), what="another")
        assert connection.lrange("numbers", 0, -1) == [b"0", b"1"]
        last = server_pid(connection)
        assert connection.config_get("port") == {"port": "0"}
    assert is_gone(last)
    told = [record.getMessage() for record in caplog.records if record.name == "rowmill.embedded"]
    assert told == [
        "the embedded server is started again: it ended by signal 9",
        "the embedded server is started again: it ended with exit code 0",
    ]


def test_a_server_that_can_t_start_again_is_given_up_and_says_why(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedServer(folder) as server, open_connection(server.url) as connection:
        killed = server_pid(connection)
        (manifest,) = (folder / "appendonlydir").glob("*.manifest")
        manifest.write_text("no manifest")
        os.kill(killed, signal.SIGKILL)
        until(lambda: server.is_lost, what="the last try")
    last = caplog.records[-1]
    assert last.levelno == logging.ERROR and "given up: it ended with exit code 1" in last.message
    with (
        pytest.raises(EmbeddedServerError, match="exit code 1: The AOF manifest"),
        embedded_server(folder),
    ):
        pass


def test_a_server_whose_owner_is_killed_ends_and_a_temporary_folder_with_it(
    start_owner: StartOwner,
) -> None:
    owner, url = start_owner()
    with open_connection(url) as connection:
        pid, keeper = server_pid(connection), _keeper(connection).pid
    folder = Path(url.removeprefix("unix://")).parent
    assert folder.is_dir()
    owner.kill()
    until(lambda: is_gone(pid) and is_gone(keeper), what="the server and its keeper to end")
    assert not folder.exists()


@pytest.mark.parametrize("dies_with_its_keeper", [False, True])
def test_the_next_owner_takes_over_at_once_what_a_killed_one_left(
    folder: Path, start_owner: StartOwner, dies_with_its_keeper: bool
) -> None:
    owner, url = start_owner(folder)
    with open_connection(url) as connection:
        connection.set("key", "value")
        keeper = _keeper(connection)
        if dies_with_its_keeper:
            keeper.kill()
        owner.kill()
        owner.wait()
        with embedded_server(folder) as again:
            assert again == url
            assert connection.get("key") == b"value"
            assert _keeper(connection).pid != keeper.pid


def test_a_keeper_that_is_killed_has_an_heir_and_the_data_stay(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedServer(folder) as server, open_connection(server.url) as connection:
        for number in range(2):
            connection.rpush("numbers", number)
            pid = server_pid(connection)
            _keeper(connection).kill()
            until(lambda pid=pid: server_pid(connection) not in (0, pid), what="another server")
            assert is_gone(pid)
        with pytest.raises(EmbeddedServerError, match="already"), embedded_server(folder):
            pass
        assert connection.lrange("numbers", 0, -1) == [b"0", b"1"]
        assert not server.is_lost
        last = server_pid(connection)
    assert is_gone(last)
    assert caplog.messages.count("the embedded server is started again: its keeper was killed") == 2


def test_a_keeper_without_an_heir_is_a_server_that_is_lost(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedServer(folder) as server, open_connection(server.url) as connection:
        (manifest,) = (folder / "appendonlydir").glob("*.manifest")
        manifest.write_text("no manifest")
        _keeper(connection).kill()
        until(lambda: server.is_lost, what="the last try")
    assert "given up: can't start a Valkey server" in caplog.messages[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="only there a child learns of it")
def test_a_server_ends_whose_keeper_and_owner_are_killed_at_once(start_owner: StartOwner) -> None:
    owner, url = start_owner()
    with open_connection(url) as connection:
        pid, keeper = server_pid(connection), _keeper(connection)
    os.kill(owner.pid, signal.SIGSTOP)  # it starts no other keeper
    keeper.kill()
    owner.kill()
    until(lambda: is_gone(pid), what="the server to end")


def test_two_that_start_at_the_same_time_are_one_server_and_one_refusal(
    folder: Path,
) -> None:
    command = [sys.executable, "-c", OWNER, str(folder)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    owners = [subprocess.Popen(command, **pipes) for _ in range(2)]
    until(lambda: any(owner.poll() is not None for owner in owners), what="a refusal")
    (refused,) = (owner for owner in owners if owner.poll() is not None)
    (owner,) = (owner for owner in owners if owner is not refused)
    assert f"process {owner.pid} runs one there already" in refused.communicate()[1]
    assert owner.stdout is not None and owner.stdout.readline().strip() == socket_url(folder)
    owner.kill()
    owner.communicate()
