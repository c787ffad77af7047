"""Quotas: how many rows and tokens a tenant may ask for in a minute."""

from __future__ import annotations

from gateway.caller import Caller
from gateway.errors import ApiError
from gateway.server import Server


class Quotas:
    """Kept in the queue's server, so that all gateways share them.

    A quota is a bucket that holds a minute's worth and fills all the time. What was charged stays
    so, whatever becomes of the jobs: to wait for their ends would let a caller queue without end.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def charge(self, caller: Caller, *, rows: int, tokens: int) -> None:
        """Raises ApiError: 429 where the tenant has to wait, 400 for more than a minute's worth."""
        quotas = [
            ("rows", caller.rows_per_minute, rows),
            ("tokens", caller.tokens_per_minute, tokens),
        ]
        args: list[str | int] = [caller.tenant or ""]
        for name, size, wanted in quotas:
            if size is None:
                continue
            if wanted > size:
                raise _never(name, size, wanted)
            args += (name, size, wanted)
        if len(args) == 1:
            return
        if short := await self._server.run("quota", *args):
            name, seconds = short[0].decode(), float(short[1])
            size = {name: size for name, size, _ in quotas}[name]
            raise ApiError(
                429,
                f"the quota of {size} {name} per minute ({name}_per_minute) is used up: try again "
                f"in {seconds:.3g} s",
                kind="rate_limit_error",
                code=f"{name}_quota_used_up",
                retry_after=seconds,
            )


def _never(name: str, size: int, wanted: int) -> ApiError:
    """Not a 429, after which clients try again."""
    counted = "rows" if name == "rows" else "tokens (prompt + max_tokens, for each row)"
    return ApiError(
        400,
        f"this request is for {wanted} {counted}, and the whole quota is {size} per minute "
        f"({name}_per_minute)",
        kind="rate_limit_error",
        param="num_samples" if name == "rows" else "max_tokens",
        code=f"{name}_quota_too_small",
    )
