"""ApiKey: what the keys' file says of one, and how keys are made and hashed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from jobs.field_limits import flag, integer
from jobs.generate_job import MAX_PRIORITY
from jobs.names import NAME, NAME_LIMIT

PREFIX = "rk-"
"""By which people and scanners of secrets know a key."""
MAX_PER_MINUTE = 10**12
RESERVED = "rowmill."
"""The names of tenants that are no caller's: such a one would see all callers' batches."""

Name = Annotated[str, Field(pattern=NAME, description=NAME_LIMIT)]


class ApiKey(BaseModel):
    """One key. `name` is the tenant whose jobs it pushes; several keys may have the same, so that
    a new one can be given out before the old one is withdrawn. Each description is the limit."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str = Field(pattern=NAME, description=f"{NAME_LIMIT}, not beginning with {RESERVED}")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="the key's SHA-256, 64 hexadecimal digits"
    )
    queue: Name | None = Field(default=None, description=f"None or {NAME_LIMIT}")
    priority: int = integer(1, 1, MAX_PRIORITY)
    rows_per_minute: int | None = integer(None, 1, MAX_PER_MINUTE)
    tokens_per_minute: int | None = integer(None, 1, MAX_PER_MINUTE)
    disabled: bool = flag()
    expires: AwareDatetime | None = Field(
        default=None, description="None or a date and time with its zone: 2027-01-31T00:00:00Z"
    )

    @field_validator("name")
    @classmethod
    def _is_no_reserved_one(cls, name: str) -> str:
        if name.startswith(RESERVED):
            raise ValueError(name)
        return name

    def has_hash(self, sha256: str) -> bool:
        """Takes the same time however much of it is right."""
        return hmac.compare_digest(self.sha256, sha256)

    @property
    def is_expired(self) -> bool:
        return self.expires is not None and self.expires <= datetime.now(UTC)


def new_key() -> str:
    """A key that nobody can guess: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """What is kept of a key.

    A plain hash, without salt and rounds: those slow down who tries the likeliest passwords, and
    none of 2**256 keys is likelier than another. Every request pays for the hash.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
