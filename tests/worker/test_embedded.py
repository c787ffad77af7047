"""The embedded server is its user's alone, and keeps what it was told."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs.connection import open_connection
from tests.waiting import until
from worker.embedded import EmbeddedServerError, embedded_server, socket_url


def _is_gone(connection: redis.Redis) -> bool:
    try:
        connection.ping()
    except redis.ConnectionError:
        return True
    return False


def test_nobody_else_can_reach_it(folder: Path) -> None:
    data = folder / "new" / "data"
    with embedded_server(data) as url, open_connection(url) as connection:
        settings: Any = connection.config_get("port", "appendonly", "tls-port")
        assert settings == {"port": "0", "tls-port": "0", "appendonly": "yes"}
        path = Path(url.removeprefix("unix://"))
        assert path.parent == data.resolve()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_what_was_acknowledged_survives_a_sigkill(folder: Path) -> None:
    with embedded_server(folder) as url, open_connection(url) as connection:
        connection.config_set("appendfsync", "always")
        for index in range(100):
            connection.rpush("numbers", index)
        server: Any = connection.info("server")
        os.kill(server["process_id"], signal.SIGKILL)
        until(lambda: _is_gone(connection), what="the server to die")

    with embedded_server(folder) as again, open_connection(again) as connection:
        assert again == url
        numbers: Any = connection.lrange("numbers", 0, -1)
        assert [int(number) for number in numbers] == list(range(100))


def test_an_interrupt_from_the_terminal_does_not_reach_it(folder: Path) -> None:
    with embedded_server(folder) as url, open_connection(url) as connection:
        server: Any = connection.info("server")
        os.kill(server["process_id"], signal.SIGINT)
        assert connection.blpop(["no-such-list"], 1) is None, "it would hang up on us"


def test_a_second_server_on_the_folder_is_refused_and_the_first_goes_on(folder: Path) -> None:
    with embedded_server(folder) as url, open_connection(url) as connection:
        connection.set("key", "value")
        with pytest.raises(EmbeddedServerError, match="already"), embedded_server(folder):
            pass
        assert connection.get("key") == b"value"


def test_a_path_that_is_too_long_for_a_socket_is_refused_before_anything_is_made(
    folder: Path,
) -> None:
    deep = folder / ("d" * 100)
    with pytest.raises(EmbeddedServerError, match="too long"), embedded_server(deep):
        pass
    assert not deep.exists()


def test_a_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(EmbeddedServerError, match="file"), embedded_server(folder / "file"):
        pass


def test_a_temporary_server_leaves_nothing_behind() -> None:
    with embedded_server() as url, open_connection(url) as connection:
        folder = Path(url.removeprefix("unix://")).parent
        assert (folder / "appendonlydir").is_dir()
        assert socket_url(folder) == url
    assert _is_gone(connection)
    assert not folder.exists()
