"""The commands of the gateway: keys are shown once, and a bad option is told before it listens."""

from __future__ import annotations

import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.access.keys_file import KeysFile
from worker.cli import app


def rowmill(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_a_key_is_printed_once_and_its_hash_is_kept(path: Path) -> None:
    limits = ("--queue", "urgent", "--priority", "4", "--days", "30")
    quotas = ("--rows-per-minute", "60", "--tokens-per-minute", "1000")
    first = rowmill("gateway-key", "acme", "--file", str(path), *limits, *quotas)
    second = rowmill("gateway-key", "b.c-d_e", "--file", str(path))
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    for result in (first, second):
        key = result.stdout.strip()
        assert key.startswith("rk-") and key not in result.stderr and key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    keys = KeysFile(path)
    acme, other = keys.find(first.stdout.strip()), keys.find(second.stdout.strip())
    assert acme is not None and other is not None
    assert (acme.name, acme.queue, acme.priority) == ("acme", "urgent", 4)
    assert (acme.rows_per_minute, acme.tokens_per_minute) == (60, 1000)
    assert acme.expires is not None
    left = acme.expires - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert (other.name, other.priority, other.expires) == ("b.c-d_e", 1, None)


def test_a_file_that_others_could_read_is_closed(path: Path) -> None:
    path.write_text("# of production\n")
    path.chmod(0o644)
    assert rowmill("gateway-key", "acme", "--file", str(path)).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# of production\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a b"], "name: 'a b' is not allowed"),
        (["a", "--queue", "a@b"], "queue: 'a@b'"),
        (["a", "--priority", "0"], "priority: 0"),
        (["a", "--rows-per-minute", "0"], "rows_per_minute: 0"),
        (["a", "--tokens-per-minute", "-1"], "tokens_per_minute: -1"),
        (["a", "--days", "0"], "--days"),
    ],
)
def test_a_bad_entry_is_not_written(path: Path, arguments: list[str], told: str) -> None:
    result = rowmill("gateway-key", *arguments, "--file", str(path))
    assert result.exit_code == 2 and told in result.stderr
    assert not path.exists()


def test_a_file_that_is_something_else_is_left_alone(path: Path) -> None:
    path.write_text("[tool]\na = 1\n")
    result = rowmill("gateway-key", "acme", "--file", str(path))
    assert result.exit_code == 2 and "is not [[keys]]" in result.stderr
    assert path.read_text() == "[tool]\na = 1\n"
    result = rowmill("gateway-key", "acme", "--file", str(path / "below"))
    assert result.exit_code == 2 and "keys_file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "host: 0.0.0.0 is open to other machines"),
        (["--keys", "/nowhere/keys.toml"], "keys_file: /nowhere/keys.toml: No such file"),
        (["--model", "/nowhere"], "/nowhere: no such file or folder"),
        (["--allow-origins", "example.com"], "allowed_origins: 'example.com'"),
        (["--max-body-bytes", "0"], "max_body_bytes must be from 1"),
        (["--drain-seconds", "-1"], "drain_seconds must be from 0"),
        (["--queue", "a@b"], "queue: 'a@b'"),
        (["--redis", "http://user:secret@host"], "url: this URL is not allowed"),
    ],
)
def test_a_bad_option_is_told_before_the_gateway_listens(arguments: list[str], told: str) -> None:
    result = rowmill("gateway", "--port", "0", *arguments)
    assert result.exit_code == 2 and told in result.stderr and "secret@" not in result.stderr


def test_a_port_that_is_taken_is_told_as_a_bad_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = rowmill("gateway", "--port", str(port))
    assert result.exit_code == 2
    assert f"port: can't listen on 127.0.0.1, port {port}" in result.stderr
