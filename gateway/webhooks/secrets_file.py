"""SecretsFile: what webhooks are signed with, from a TOML file that is read when it changes."""

from __future__ import annotations

import binascii
import logging
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.webhooks.config import WebhooksConfigError
from jobs.errors import brief
from jobs.names import is_name

_PREFIX = "whsec_"
_FORM = f"{_PREFIX} and the base64 of 24 to 64 random bytes"
_OTHERS = 0o037
"""The group may read it: so Kubernetes gives a secret to a process that is not root's."""

log = logging.getLogger("rowmill.webhooks")

Secrets = tuple[bytes, ...]


class SecretsFile:
    """Reads `path`:

        default = ["whsec_…"]            # of jobs whose tenant is not below; may be left out
        [tenants]
        acme = ["whsec_new", "whsec_old"]

    Raises WebhooksConfigError where it can't be read, is open to others or has a bad entry. Once
    it was good, a bad state of it is logged, and the secrets stay as they were.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._default, self._tenants = _read(path)

    def of(self, tenant: str | None) -> Secrets:
        """All that sign a tenant's webhooks; none where the file has none for it."""
        self._refresh()
        return self._default if tenant is None else self._tenants.get(tenant, self._default)

    def texts(self) -> tuple[str, ...]:
        """As they are written, to be blacked out wherever they might show."""
        every = [*self._default, *(one for its in self._tenants.values() for one in its)]
        return tuple(b64encode(secret).decode() for secret in every)

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # also of a bad state, which is told once
        try:
            self._default, self._tenants = _read(self._path)
        except WebhooksConfigError as error:
            log.error("the secrets stay as they were: %s", error)
        else:
            log.info("read the secrets again")


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _read(path: Path) -> tuple[Secrets, Mapping[str, Secrets]]:
    """No error shows what stands in the file."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise _error(path, "is open to others: chmod 600")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _error(path, str(error.strerror)) from None
    except ValueError:  # no UTF-8, or no TOML: the parser's message shows what stands there
        raise _error(path, "is not TOML") from None
    default, tenants = content.pop("default", []), content.pop("tenants", {})
    if content:
        raise _error(path, f"{brief(next(iter(content)))} is neither default nor tenants")
    if not isinstance(tenants, dict):
        raise _error(path, "tenants must be a table, headed [tenants]")
    for name in tenants:
        if not is_name(name):
            raise _error(path, f"{brief(name)} is no tenant's name")
    its = {name: _secrets(path, f"tenants.{name}", value) for name, value in tenants.items()}
    return _secrets(path, "default", default), its


def _secrets(path: Path, place: str, written: Any) -> Secrets:
    if not isinstance(written, list):
        raise _error(path, f"{place} must be a list, the newest first")
    return tuple(_secret(path, f"{place}, number {n}", one) for n, one in enumerate(written, 1))


def _secret(path: Path, place: str, written: Any) -> bytes:
    try:
        if not (isinstance(written, str) and written.startswith(_PREFIX)):
            raise ValueError
        secret = b64decode(written.removeprefix(_PREFIX), validate=True)
        if not 24 <= len(secret) <= 64:
            raise ValueError
    except (ValueError, binascii.Error):
        raise _error(path, f"{place}: must be {_FORM}") from None
    return secret


def _error(path: Path, text: str) -> WebhooksConfigError:
    return WebhooksConfigError(f"secrets: {path}: {text}")
