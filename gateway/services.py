"""Services: what all requests of a gateway share."""

from __future__ import annotations

import time

from gateway.access.gatekeeper import caller_of
from gateway.access.keys_file import KeysFile
from gateway.access.quotas import Quotas
from gateway.caller import Caller
from gateway.config import GatewayConfig
from gateway.glances import Glances
from gateway.known_workers import KnownWorkers
from gateway.metrics import Metrics
from gateway.openai.asked import Served
from gateway.server import Server
from gateway.shutdown import Shutdown
from jobs import AsyncClient
from vocab import Tokenizer, load_tokenizer


class Services:
    """Made once for an application, and closed with it. Nothing is sent before a request comes.

    Raises TokenizerError, GatewayConfigError for the keys' file, and InvalidJobError for the URL.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.tokenizer: Tokenizer | None = (config.model and load_tokenizer(config.model)) or None
        self.server = Server(config.redis_url)
        self.quotas = Quotas(self.server)
        self.workers = KnownWorkers(lambda queue: self.client(queue).worker_cards())
        self.glances = Glances(lambda queue, tenant: self.client(queue).overview(tenant=tenant))
        self.shutdown = Shutdown()
        self.metrics = Metrics()
        self._keys = None if config.keys_file is None else KeysFile(config.keys_file)
        self.served = Served(config.model_name, self.tokenizer)
        self.created = int(time.time())
        """When it began, in seconds since 1970."""
        self._clients: dict[tuple[str, bool], AsyncClient] = {}

    def caller(self, key: str | None) -> Caller:
        """Who brings this API key. Raises ApiError (401)."""
        return caller_of(self.config, self._keys, key)

    def client(self, queue: str, *, is_awaited: bool = False) -> AsyncClient:
        """Of a queue: that of the caller whose jobs are meant. `is_awaited`: it pushes jobs for
        whose rows somebody waits, so that they need not be kept for long."""
        key = (queue, is_awaited)
        if key not in self._clients:
            ttl = self.config.answer_ttl if is_awaited else self.config.result_ttl
            self._clients[key] = AsyncClient(
                self.config.redis_url,
                queue,
                result_ttl=ttl,
                failure_ttl=ttl,
                max_queued=self.config.max_queued,
                wait_when_away=self.config.patience_seconds,
            )
        return self._clients[key]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        await self.server.close()
