"""Giving a file that is whole its name, so that it stays."""

from __future__ import annotations

import os
from pathlib import Path


def put_in_place(temporary: Path, target: Path) -> None:
    """Renames a file over another; afterwards it is on the disk, with all that it holds."""
    sync(temporary)
    temporary.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Returns once a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
