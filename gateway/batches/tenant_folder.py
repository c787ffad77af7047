"""Where a caller's files and batches lie. Names that keys may have, `..` too, are no paths here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jobs.dataset.placing import sync

_KEY = "key-"
_EVERYBODY = "everybody"


def tenant_folder(root: Path, tenant: str | None) -> Path:
    """`tenant`: None where no key is asked for."""
    return root / (_EVERYBODY if tenant is None else f"{_KEY}{tenant}")


def make_folder(path: Path) -> None:
    """With its parents, on the disk afterwards, as what is put into it shall be."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def tenants(root: Path) -> Iterator[str | None]:
    """Those that have a folder."""
    for entry in sorted(root.iterdir()):
        if entry.name == _EVERYBODY:
            yield None
        elif entry.name.startswith(_KEY):
            yield entry.name.removeprefix(_KEY)
