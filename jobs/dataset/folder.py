"""OutFolder: where a run's files lie. Only this file knows their names.

manifest.json           what the run is
part-000000.parquet     rows of the first range of inputs; whole as soon as it has this name
failures.jsonl          inputs without rows
stats.json              counts and times
.rowmill/lock           held by the process that writes the folder
.rowmill/part-000000.journal   results of a part that is not whole yet
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jobs.dataset.errors import FolderError
from jobs.dataset.failures_file import FailuresFile
from jobs.dataset.manifest import Manifest
from jobs.dataset.placing import put_in_place
from jobs.dataset.selection import Shard

_OWN = ".rowmill"
_MANIFEST = "manifest.json"
_FAILURES = "failures.jsonl"
_STATS = "stats.json"
_PART = re.compile(r"part-(\d{6,})(.*)\.(parquet|journal)")


class OutFolder:
    """`shard` is in the names of the parts, so that those of all shards fit in one folder."""

    def __init__(self, path: Path, shard: Shard | None = None) -> None:
        self.path = path
        self._own = path / _OWN
        self._suffix = "" if shard is None else f"-shard-{shard.number}-of-{shard.count}"

    def manifest(self) -> Manifest | None:
        """None where there is no run yet.

        Raises FolderError for a folder that is not a run's, and changes nothing.
        """
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            raise FolderError(str(self.path), "is a file, not a folder")
        file = self.path / _MANIFEST
        if file.exists():
            return Manifest.read(file)
        if any(entry.name != _OWN for entry in self.path.iterdir()):
            reason = f"holds files and no {_MANIFEST}: it is not a run's folder"
            raise FolderError(str(self.path), reason)
        return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder if there is none, and keeps other processes out.

        Raises FolderError where another one is in.
        """
        self._own.mkdir(parents=True, exist_ok=True)
        with open(self._own / "lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reason = "another process is sampling into it"
                raise FolderError(str(self.path), reason) from None
            for leftover in self._own.glob("*.tmp"):
                leftover.unlink()
            yield

    def clear(self) -> None:
        """Deletes what a run wrote.

        The manifest goes last: without one, what is left by whoever is killed on the way would be
        somebody else's. Journals go first: one may hold the rest of rows that stand in a part.
        """
        for file in (*self._own.glob("*.journal"), *self.path.glob("part-*.parquet")):
            if _PART.fullmatch(file.name):
                file.unlink()
        for name in (_FAILURES, _STATS, _MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        self._put(_MANIFEST, [manifest.model_dump_json(indent=2) + "\n"])

    def part(self, number: int) -> Path:
        return self.path / f"part-{number:06d}{self._suffix}.parquet"

    def journal(self, number: int) -> Path:
        return self._own / f"part-{number:06d}.journal"

    def temporary(self, name: str) -> Path:
        """Where a file is written before it is put in place."""
        return self._own / f"{name}.tmp"

    def part_numbers(self) -> list[int]:
        return _numbers(self.path.glob("part-*.parquet"), self._suffix)

    def journal_numbers(self) -> list[int]:
        return _numbers(self._own.glob("part-*.journal"), "")

    def failures(self) -> FailuresFile:
        return FailuresFile(self.path / _FAILURES, self.temporary(_FAILURES))

    def stats(self) -> dict[str, Any]:
        """What stats.json holds; nothing where it is missing or broken."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            stats = json.loads((self.path / _STATS).read_bytes())
            return stats if isinstance(stats, dict) else {}
        return {}

    def write_stats(self, stats: dict[str, Any]) -> None:
        self._put(_STATS, [json.dumps(stats, indent=2) + "\n"])

    def _put(self, name: str, lines: Iterable[str]) -> None:
        temporary = self.temporary(name)
        with open(temporary, "w") as file:
            file.writelines(lines)
        put_in_place(temporary, self.path / name)


def _numbers(files: Iterable[Path], suffix: str) -> list[int]:
    matches = (_PART.fullmatch(file.name) for file in files)
    return sorted(int(match[1]) for match in matches if match and match[2] == suffix)
