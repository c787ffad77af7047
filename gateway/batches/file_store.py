"""FileStore: the files of all callers, on the disk.

<tenant>/files/<id>.json    what is known of a file; it exists from the moment in which this does
<tenant>/files/<id>.jsonl   its content
<tenant>/files/*.tmp        what is being written
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.batches.expires_after import ExpiresAfter
from gateway.batches.identifiers import FILE, is_id, new_id
from gateway.batches.paging import ids_after
from gateway.batches.stored_file import Purpose, StoredFile
from gateway.batches.tenant_folder import make_folder, tenant_folder, tenants
from jobs.dataset.placing import put_in_place

_LEFTOVER_SECONDS = 86_400
"""No upload takes so long: who wrote the file was killed."""


class FileStore:
    """Shared by threads, and by gateways on one folder. Raises OSError as files do."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def temporary(self, tenant: str | None) -> Path:
        """Where a file may be written, to be kept by `add`."""
        folder = self._folder(tenant)
        make_folder(folder)
        return folder / f"{secrets.token_hex(8)}.tmp"

    def add(
        self,
        tenant: str | None,
        content: Path,
        *,
        filename: str,
        purpose: Purpose,
        expires_after: ExpiresAfter | None = None,
        file_id: str | None = None,
    ) -> StoredFile:
        """Keeps what was written to a temporary file, which is then gone; on the disk afterwards.

        `file_id`: a new one unless one is given, whose file, if there is one, is replaced.
        """
        created_at = int(time.time())
        file = StoredFile(
            id=file_id or new_id(FILE),
            filename=filename,
            purpose=purpose,
            bytes=content.stat().st_size,
            created_at=created_at,
            expires_at=None if expires_after is None else created_at + expires_after.seconds,
        )
        put_in_place(content, self._content(tenant, file.id))
        temporary = self.temporary(tenant)
        temporary.write_text(file.model_dump_json())
        put_in_place(temporary, self._facts(tenant, file.id))
        return file

    def get(self, tenant: str | None, file_id: str) -> StoredFile | None:
        """None where the caller has no such file, or it has expired."""
        if not is_id(FILE, file_id):
            return None
        try:
            file = StoredFile.model_validate_json(self._facts(tenant, file_id).read_bytes())
        except FileNotFoundError:
            return None
        if file.expires_at is not None and file.expires_at <= time.time():
            self.delete(tenant, file_id)
            return None
        return file

    def content(self, tenant: str | None, file_id: str) -> Path:
        """Of a file that exists."""
        return self._content(tenant, file_id)

    def listed(
        self, tenant: str | None, *, after: str | None = None, is_newest_first: bool = True
    ) -> Iterator[StoredFile]:
        ids = (path.stem for path in self._folder(tenant).glob(f"{FILE}*.json"))
        for file_id in ids_after(ids, after, is_newest_first=is_newest_first):
            file = self.get(tenant, file_id)
            if file is not None:
                yield file

    def delete(self, tenant: str | None, file_id: str) -> bool:
        """Whether there was one. Who reads it now reads it to its end."""
        if not is_id(FILE, file_id):
            return False
        try:
            self._facts(tenant, file_id).unlink()
        except FileNotFoundError:
            return False
        self._content(tenant, file_id).unlink(missing_ok=True)
        return True

    def sweep(self) -> None:
        """Deletes what has expired, and what killed gateways left."""
        for tenant in tenants(self._root):
            for _ in self.listed(tenant):
                pass
            for path in self._folder(tenant).iterdir():
                with contextlib.suppress(FileNotFoundError):
                    is_whole = path.suffix == ".json" or path.with_suffix(".json").exists()
                    if not is_whole and time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                        path.unlink()

    def _folder(self, tenant: str | None) -> Path:
        return tenant_folder(self._root, tenant) / "files"

    def _facts(self, tenant: str | None, file_id: str) -> Path:
        return self._folder(tenant) / f"{file_id}.json"

    def _content(self, tenant: str | None, file_id: str) -> Path:
        return self._folder(tenant) / f"{file_id}.jsonl"
