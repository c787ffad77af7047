"""Services: what all requests of a gateway share."""

from __future__ import annotations

from gateway.config import GatewayConfig
from jobs import AsyncClient
from vocab import Tokenizer, load_tokenizer


class Services:
    """Made once for an application, and closed with it."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.tokenizer: Tokenizer | None = (config.model and load_tokenizer(config.model)) or None
        self._clients: dict[str, AsyncClient] = {}

    def client(self, queue: str) -> AsyncClient:
        """Of a queue: that of the caller whose jobs are meant."""
        if queue not in self._clients:
            self._clients[queue] = AsyncClient(self.config.redis_url, queue)
        return self._clients[queue]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
