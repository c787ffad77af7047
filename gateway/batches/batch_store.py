"""BatchStore: the batches of all callers, on the disk.

<tenant>/batches/<id>/batch.json    where it stands
<tenant>/batches/<id>/input.jsonl   the input file's content, also where that file is deleted
<tenant>/batches/<id>/cancel        there since its caller cancelled it
<tenant>/batches/<id>/lock          held by the process that works at it
<tenant>/batches/<id>/journal       results, until the output file is there
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from gateway.batches.batch import Batch
from gateway.batches.identifiers import BATCH, is_id
from gateway.batches.paging import ids_after
from gateway.batches.tenant_folder import make_folder, tenant_folder, tenants
from jobs.dataset.placing import put_in_place, sync

_log = logging.getLogger("rowmill.batches")
_LEFTOVER_SECONDS = 3600


class BatchFolder:
    """Where one batch lies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.input = path / "input.jsonl"
        self.journal = path / "journal"
        self._facts = path / "batch.json"
        self._cancel = path / "cancel"

    def read(self) -> Batch:
        """As its worker left it. Raises FileNotFoundError where there is none."""
        return Batch.model_validate_json(self._facts.read_bytes())

    def read_for_caller(self) -> Batch:
        """With what its worker has not come to see yet."""
        batch = self.read()
        cancelled_at = self.cancelled_at
        if cancelled_at is None or batch.status not in ("validating", "in_progress"):
            return batch
        return batch.model_copy(update={"status": "cancelling", "cancelling_at": cancelled_at})

    def write(self, batch: Batch) -> None:
        """On the disk afterwards."""
        temporary = self.path / "batch.json.tmp"
        temporary.write_text(batch.model_dump_json())
        put_in_place(temporary, self._facts)

    def cancel(self) -> None:
        """On the disk afterwards."""
        self._cancel.open("a").close()
        sync(self.path)

    @property
    def cancelled_at(self) -> int | None:
        """When its caller cancelled it."""
        try:
            return int(self._cancel.stat().st_mtime)
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether it is ours: one thread of one process works at a batch."""
        with open(self.path / "lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def clear(self) -> None:
        """Deletes what a batch that has ended does not need."""
        self.journal.unlink(missing_ok=True)
        self.input.unlink(missing_ok=True)


class BatchStore:
    """Shared by threads, and by gateways on one folder. Raises OSError as files do."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ended: set[str] = set()
        """IDs of those that will not change any more."""

    def folder(self, tenant: str | None, batch_id: str) -> BatchFolder:
        return BatchFolder(self._folder(tenant) / batch_id)

    def add(self, batch: Batch, content: Path) -> None:
        """On the disk afterwards. Raises FileNotFoundError where the content has just gone."""
        target = self._folder(batch.tenant)
        temporary = BatchFolder(target / f"{secrets.token_hex(8)}.tmp")
        make_folder(temporary.path)
        try:
            os.link(content, temporary.input)
            temporary.write(batch)
            put_in_place(temporary.path, target / batch.id)
        except BaseException:
            shutil.rmtree(temporary.path, ignore_errors=True)
            raise

    def get(self, tenant: str | None, batch_id: str) -> Batch | None:
        """As its caller sees it; None where that one has no such batch, or it can't be read."""
        if not is_id(BATCH, batch_id):
            return None
        folder = self.folder(tenant, batch_id)
        try:
            return folder.read_for_caller()
        except FileNotFoundError:
            return None
        except ValidationError as error:
            _log.warning("%s holds no batch of this version: %s", folder.path, error)
            return None

    def listed(self, tenant: str | None, *, after: str | None = None) -> Iterator[Batch]:
        """The newest first."""
        for batch_id in ids_after(self._ids(tenant), after, is_newest_first=True):
            batch = self.get(tenant, batch_id)
            if batch is not None:
                yield batch

    def active(self, tenant: str | None) -> Iterator[Batch]:
        """Those that have not ended, the oldest first."""
        for batch_id in sorted(self._ids(tenant)):
            if batch_id in self._ended:
                continue
            batch = self.get(tenant, batch_id)
            if batch is None or batch.has_ended:
                self._ended.add(batch_id)
            else:
                yield batch

    def all_active(self) -> list[Batch]:
        """Of all callers, the oldest first."""
        found = [batch for tenant in tenants(self._root) for batch in self.active(tenant)]
        return sorted(found, key=lambda batch: batch.id)

    @contextlib.contextmanager
    def counted(self, tenant: str | None) -> Iterator[int]:
        """How many active batches a caller has; nobody adds one meanwhile."""
        folder = self._folder(tenant)
        make_folder(folder)
        with open(folder / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield sum(1 for _ in self.active(tenant))

    def sweep(self) -> None:
        """Deletes what gateways left that were killed while they added a batch."""
        for tenant in tenants(self._root):
            for path in self._folder(tenant).glob("*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                        shutil.rmtree(path, ignore_errors=True)

    def _ids(self, tenant: str | None) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder(tenant)) if is_id(BATCH, name)]
        except FileNotFoundError:
            return []

    def _folder(self, tenant: str | None) -> Path:
        return tenant_folder(self._root, tenant) / "batches"
