"""Making a key: it is told once, and the keys' file gets its hash."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.access.api_key import ApiKey, hash_of, new_key
from gateway.access.keys_file import read_keys
from gateway.config import GatewayConfigError
from jobs.field_limits import explained

_OWNER_ONLY = 0o600


def add_key(path: Path, name: str, *, days: int | None = None, **fields: Any) -> str:
    """Appends an entry to the file, which is made where there is none, and returns the key.

    `days`: after which it expires; `fields` are ApiKey's, None for those that are not given. Only
    the file's owner may read it afterwards. Raises InvalidJobError for a bad field, and
    GatewayConfigError for a file that is no keys' file, or can't be written.
    """
    key = new_key()
    given = {field: value for field, value in fields.items() if value is not None}
    if days is not None:
        given["expires"] = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    try:
        entry = ApiKey(name=name, sha256=hash_of(key), **given)
    except ValidationError as error:
        raise explained(ApiKey, error) from None
    if path.exists():
        read_keys(path)
    _append(path, _toml(entry))
    return key


def _append(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ONLY)
        with open(file, "w", encoding="utf-8") as opened:
            os.fchmod(file, _OWNER_ONLY)
            opened.write(text)  # in one write, and read only when it is there
    except OSError as error:
        raise GatewayConfigError(f"keys_file: {path}: {error.strerror}") from None


def _toml(entry: ApiKey) -> str:
    fields = entry.model_dump(exclude_defaults=True)
    lines = [f"{name} = {_value(value)}" for name, value in fields.items()]
    return "\n".join(["", "[[keys]]", *lines, ""])


def _value(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'  # a name or a hash: nothing in it is to be escaped
    return value.isoformat() if isinstance(value, datetime) else str(value)
