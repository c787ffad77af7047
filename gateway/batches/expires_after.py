"""ExpiresAfter: when files go away by themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExpiresAfter(BaseModel):
    """`seconds` after a file's creation: an hour to 30 days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor: Literal["created_at"] = Field(description="created_at")
    seconds: int = Field(ge=3600, le=2_592_000, description="an integer from 3600 to 2592000")
