"""IDs of files and batches: they sort as they were made, and are names of files, too."""

from __future__ import annotations

import hashlib
import re
import secrets
import time

FILE, BATCH = "file-", "batch_"
_TAIL = r"[0-9a-f]{32}"
_FORMS = {prefix: re.compile(prefix + _TAIL) for prefix in (FILE, BATCH)}


def new_id(prefix: str) -> str:
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(8)}"


def is_id(prefix: str, text: str) -> bool:
    """Whether `new_id` may have made it: other texts name nothing, and may be paths."""
    return _FORMS[prefix].fullmatch(text) is not None


def derived_id(prefix: str, *source: str | int) -> str:
    """The same each time that it is asked for."""
    text = " ".join(map(str, source))
    return prefix + hashlib.sha256(text.encode()).hexdigest()[:32]
