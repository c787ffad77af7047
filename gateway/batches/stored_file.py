"""StoredFile: what is known of a file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Purpose = Literal["batch", "batch_output"]


class StoredFile(BaseModel):
    """Times are seconds since 1970. `expires_at`: None where the file stays until it is deleted."""

    model_config = ConfigDict(frozen=True)

    id: str
    filename: str
    purpose: Purpose
    bytes: int
    created_at: int
    expires_at: int | None = None

    def view(self) -> dict[str, Any]:
        """As callers see it."""
        return {**self.model_dump(exclude_none=True), "object": "file", "status": "processed"}
