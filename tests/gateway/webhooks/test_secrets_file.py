"""Secrets come from a file that no stranger can read, and show nowhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.webhooks import SecretsFile, WebhooksConfigError
from tests.gateway.webhooks.conftest import ACME_SECRET, OLD_SECRET, SECRET


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_tenant_has_its_own_secrets_or_those_of_all(secrets_file: Path) -> None:
    secrets = SecretsFile(secrets_file)
    assert secrets.of(None) == secrets.of("other") == (bytes([251]) * 32, bytes([2]) * 32)
    assert secrets.of("acme") == (bytes([3]) * 32,)
    written = (its.removeprefix("whsec_") for its in (SECRET, OLD_SECRET, ACME_SECRET))
    assert secrets.texts() == tuple(written)


def test_where_there_is_no_default_a_tenant_without_secrets_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "s", f'[tenants]\nacme = ["{SECRET}"]\n')
    assert SecretsFile(path).of("other") == SecretsFile(path).of(None) == ()


def test_a_file_that_changes_is_read_again_unless_it_is_bad(
    secrets_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secrets = SecretsFile(secrets_file)
    write(secrets_file, f'default = ["{ACME_SECRET}"]\n')
    assert secrets.of(None) == (bytes([3]) * 32,)
    for text in ('default = ["whsec_short"]\n', "no toml"):
        write(secrets_file, text)
        assert secrets.of(None) == (bytes([3]) * 32,)
    secrets_file.unlink()
    assert secrets.of(None) == (bytes([3]) * 32,)
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in told] == [
        "read the secrets again", *["the secrets stay as they were"] * 3,
    ]  # fmt: skip
    assert "whsec_short" not in caplog.text


KEPT = SECRET.removeprefix("whsec_")


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        (f'default = ["{SECRET}"]', 0o604, "open to others"),
        (f'default = ["{SECRET}"]', 0o620, "open to others"),
        (f'default = "{SECRET}"', 0o600, "default must be a list"),
        (f'default = ["{KEPT}"]', 0o600, "default, number 1: must be whsec_"),
        ('default = ["whsec_' + "A" * 24 + '"]', 0o600, "24 to 64 random bytes"),
        (f'default = ["{SECRET}", "whsec_!{KEPT}"]', 0o600, "default, number 2"),
        (f'default = ["{SECRET}", 7]', 0o600, "default, number 2"),
        (f'[tenants]\nacme = "{SECRET}"', 0o600, "tenants.acme must be a list"),
        (f'tenants = ["{SECRET}"]', 0o600, "tenants must be a table"),
        (f'[tenants]\n"a b" = ["{SECRET}"]', 0o600, "'a b' is no tenant's name"),
        (f'tenant = ["{SECRET}"]', 0o600, "'tenant' is neither default nor tenants"),
        (f"default = {SECRET}", 0o600, "is not TOML"),
    ],
)
def test_a_bad_file_is_refused_without_showing_a_secret(
    tmp_path: Path, text: str, mode: int, reason: str
) -> None:
    with pytest.raises(WebhooksConfigError) as caught:
        SecretsFile(write(tmp_path / "s", text, mode))
    assert reason in str(caught.value) and str(tmp_path / "s") in str(caught.value)
    assert KEPT not in str(caught.value) and caught.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebhooksConfigError, match="none"):
        SecretsFile(tmp_path / "none")
