"""From the key that a request brings to its Caller."""

from __future__ import annotations

from gateway.access.keys_file import KeysFile
from gateway.caller import Caller
from gateway.config import GatewayConfig
from gateway.errors import ApiError

_HOW = "give one in the header Authorization: Bearer rk-..."


def caller_of(config: GatewayConfig, keys: KeysFile | None, key: str | None) -> Caller:
    """Raises ApiError (401) for no key or one that does not count. No error shows a key.

    Where there are no keys at all, everybody is the same caller, and a key is not looked at.
    """
    if keys is None:
        return Caller(queue=config.queue)
    if not key:
        raise _refusal(f"an API key is needed: {_HOW}", "missing_api_key")
    entry = keys.find(key)
    if entry is None or entry.disabled:
        raise _refusal("this API key is not known, or was withdrawn", "invalid_api_key")
    if entry.is_expired:
        raise _refusal("this API key has expired", "invalid_api_key")
    return Caller(
        tenant=entry.name,
        queue=entry.queue or config.queue,
        priority=entry.priority,
        rows_per_minute=entry.rows_per_minute,
        tokens_per_minute=entry.tokens_per_minute,
    )


def _refusal(message: str, code: str) -> ApiError:
    return ApiError(401, message, kind="authentication_error", code=code)
