"""Manifest: what a run's folder was made from, by which it is continued or refused."""

from __future__ import annotations

import hashlib
import secrets
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import FolderError
from jobs.dataset.file_facts import FileFacts

_FORMAT = 2
_READ = (1, 2)


class Manifest(BaseModel):
    """The contents of manifest.json.

    `run_id`: by which the folder's jobs are told from others'. `num_inputs`: in the files, up to
    the limit. `tokenizer`: fingerprint of what rendered the prompts. `model`: fingerprint of
    the model whose rows these are; None until the first of them is there. `versions`: of what wrote
    the folder first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = _FORMAT
    run_id: str
    config: SamplingConfig
    inputs: tuple[FileFacts, ...]
    num_inputs: int
    tokenizer: str | None = None
    model: str | None = None
    versions: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Raises FolderError for what this version can't read."""
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise FolderError(str(path), f"can't be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            reason = f"is no manifest of this version: {where}: {first['msg']}"
            raise FolderError(str(path), reason) from error
        if manifest.format not in _READ:
            reason = f"is of format {manifest.format}; this version reads {_FORMAT}"
            raise FolderError(str(path), reason)
        return manifest

    def renewed(self, **changes: Any) -> Manifest:
        """With other values, and a run ID that no job of before has."""
        return self.model_copy(update={"run_id": new_run_id(), **changes})

    def in_this_format(self, wanted: SamplingConfig) -> Manifest:
        """The same for a run of this configuration.

        Format 1 had no way to leave the temperature to the model, and models had none of their own:
        it says 1.0 for what None stands for now.
        """
        if self.format == _FORMAT:
            return self
        config = self.config
        if config.temperature == 1.0 and wanted.temperature is None:
            config = config.model_copy(update={"temperature": None})
        return self.model_copy(update={"format": _FORMAT, "config": config})

    def differences(self, other: Manifest) -> tuple[str, ...]:
        """A line for everything because of which the other's rows could not stand beside these."""
        mine = {**self.config.model_dump(), "tokenizer": self.tokenizer}
        its = {**other.config.model_dump(), "tokenizer": other.tokenizer}
        pairs = [(name, mine[name], its[name]) for name in mine if mine[name] != its[name]]
        for number, files in enumerate(zip_longest(self.inputs, other.inputs), 1):
            # A file may be moved, but not changed.
            if len({file and file.sha256 for file in files}) > 1:
                shown = [file and f"{file.name} with SHA-256 {file.sha256}" for file in files]
                pairs.append((f"input {number}", shown[0], shown[1]))
        return tuple(
            f"{name}: {_shown(then)} in the folder, {_shown(now)} now" for name, then, now in pairs
        )


def new_run_id() -> str:
    return secrets.token_hex(8)


def job_prefix(run_id: str, queue: str) -> str:
    """What the IDs of a run's jobs begin with: on another queue they are other jobs."""
    return hashlib.sha256(f"{run_id} {queue}".encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
