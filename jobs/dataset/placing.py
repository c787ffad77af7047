"""Giving a file that is whole its name."""

from __future__ import annotations

import os
from pathlib import Path


def put_in_place(temporary: Path, target: Path) -> None:
    """Renames a file over another; afterwards it is on the disk, with all that it holds."""
    _sync(temporary)
    temporary.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
