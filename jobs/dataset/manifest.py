"""Manifest: what a run's folder was made from, by which it is continued or refused."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import FolderError
from jobs.dataset.file_facts import FileFacts

_FORMAT = 1


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
    def parse(cls, data: bytes) -> Manifest:
        """Raises FolderError for what this version can't read."""
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            reason = f"is no manifest of this version: {where}: {first['msg']}"
            raise FolderError("manifest.json", reason) from error
        if manifest.format != _FORMAT:
            reason = f"is of format {manifest.format}; this version reads {_FORMAT}"
            raise FolderError("manifest.json", reason)
        return manifest

    def renewed(self, **changes: Any) -> Manifest:
        """With other values, and a run ID that no job of before has."""
        return self.model_copy(update={"run_id": new_run_id(), **changes})

    def differences(self, other: Manifest) -> tuple[str, ...]:
        """A line for everything because of which the other's rows could not stand beside these."""
        mine, its = self._identity(), other._identity()
        return tuple(
            f"{name}: {_shown(mine.get(name))} in the folder, {_shown(its.get(name))} now"
            for name in dict.fromkeys([*mine, *its])
            if mine.get(name) != its.get(name)
        )

    def _identity(self) -> dict[str, Any]:
        files = {
            f"input {number} (SHA-256)": file.sha256 for number, file in enumerate(self.inputs, 1)
        }
        return {**self.config.model_dump(), **files, "tokenizer": self.tokenizer}


def new_run_id() -> str:
    return secrets.token_hex(8)


def job_prefix(run_id: str, queue: str) -> str:
    """What the IDs of a run's jobs begin with: on another queue they are other jobs."""
    return hashlib.sha256(f"{run_id} {queue}".encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
