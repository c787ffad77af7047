"""KeysFile: the API keys, from a TOML file that is read again when it changes."""

from __future__ import annotations

import logging
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.access.api_key import ApiKey, hash_of
from gateway.config import GatewayConfigError
from jobs.errors import InvalidJobError, brief
from jobs.field_limits import explained, unknown_field

log = logging.getLogger("rowmill.gateway")

_Stamp = tuple[int, int, int]


class KeysFile:
    """The keys in `path`: an array of tables `[[keys]]`, each with an ApiKey's fields.

    Raises GatewayConfigError where it can't be read or has a bad entry. Once it was good, a bad
    state of it is logged, and the keys stay as they were.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = read_keys(path)

    def find(self, key: str) -> ApiKey | None:
        """The entry of a key that a caller gave. All are looked at, so that the time that it takes
        tells nothing."""
        self._refresh()
        sha256, found = hash_of(key), None
        for entry in self._keys:
            if entry.has_hash(sha256):
                found = entry
        return found

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # also of a bad state, which is told once
        try:
            self._keys = read_keys(self._path)
        except GatewayConfigError as error:
            log.error("the API keys stay as they were: %s", error)
        else:
            log.info("read %d API key(s) from %s", len(self._keys), self._path)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Raises GatewayConfigError, which shows no hash, as somebody may put a key in its place."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GatewayConfigError(f"keys_file: {path}: {error.strerror}") from None
    except ValueError:  # no UTF-8, or no TOML: the parser's message shows what stands there
        raise GatewayConfigError(f"keys_file: {path}: is not TOML") from None
    entries = content.pop("keys", [])
    if content:
        raise GatewayConfigError(f"keys_file: {path}: {brief(next(iter(content)))} is not [[keys]]")
    if not isinstance(entries, list):
        raise GatewayConfigError(f"keys_file: {path}: keys must be tables, each headed [[keys]]")
    keys = tuple(_read_key(path, number, its) for number, its in enumerate(entries, start=1))
    for sha256, count in Counter(key.sha256 for key in keys).items():
        if count > 1:
            names = ", ".join(key.name for key in keys if key.sha256 == sha256)
            raise GatewayConfigError(f"keys_file: {path}: {count} entries have one key: {names}")
    return keys


def _read_key(path: Path, number: int, fields: Any) -> ApiKey:
    place = f"keys_file: {path}: key {number}"
    if not isinstance(fields, dict):
        raise GatewayConfigError(f"{place} is no table")
    try:
        for name in fields:
            if name not in ApiKey.model_fields:
                raise unknown_field(ApiKey, name)
        return ApiKey(**fields)
    except InvalidJobError as error:
        raise GatewayConfigError(f"{place}: {error}") from None
    except ValidationError as error:
        told = explained(ApiKey, error)
        if told.field == "sha256":
            told = InvalidJobError("sha256", "this value", told.limit)
        raise GatewayConfigError(f"{place}: {told}") from None


def _stamp(path: Path) -> _Stamp | None:
    """What changes when the file does; None where there is none."""
    try:
        its = path.stat()
    except OSError:
        return None
    return its.st_mtime_ns, its.st_size, its.st_ino
