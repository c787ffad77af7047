"""Server: the queue's server, for what the gateway itself keeps there."""

from __future__ import annotations

from typing import Any

from jobs.connection import address_of, open_async_connection, server_errors
from jobs.scripts import register_script


class Server:
    """Every method raises ServerUnavailableError where the server does not answer."""

    def __init__(self, url: str) -> None:
        """Raises InvalidJobError for a bad URL, without a part of it."""
        self._redis = open_async_connection(url)
        self.address = address_of(self._redis)
        """Without a password."""
        self._scripts: dict[str, Any] = {}

    async def run(self, script: str, *args: str | int) -> Any:
        """Run `lua/<script>.lua` of the gateway, as a whole."""
        if script not in self._scripts:
            self._scripts[script] = register_script(self._redis, "gateway", script)
        with server_errors(self.address):
            return await self._scripts[script](*args)

    async def close(self) -> None:
        await self._redis.aclose()
