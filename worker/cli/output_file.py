"""A file that a command writes for a person, named by an option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from worker.cli.reporting import BadInputError


def check_writable(option: str, path: Path) -> None:
    """Raise BadInputError now where the file could not be written after a long run."""
    try:
        path.open("a").close()
    except OSError as error:
        raise BadInputError(f"{option}: {error}") from error


def write_json(option: str, path: Path, data: Any) -> None:
    try:
        path.write_text(json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise BadInputError(f"{option}: {error}") from error
