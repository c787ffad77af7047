"""Desk: what the routes of files and batches share, and what runs behind them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.batches.batch_store import BatchStore
from gateway.batches.endpoint import endpoints
from gateway.batches.file_store import FileStore
from gateway.batches.limits import BatchLimits
from gateway.batches.runner import Runner
from gateway.batches.turn import TurnConfig
from gateway.config import GatewayConfigError
from gateway.services import Services
from vocab import tokenizer_fingerprint


class Desk:
    """`root`: a folder, made if there is none. Raises GatewayConfigError where it can't be used."""

    def __init__(self, root: Path, config: TurnConfig, *, max_file_bytes: int) -> None:
        _make_root(root)
        self.limits: BatchLimits = config.limits
        self.max_file_bytes = max_file_bytes
        self.files = FileStore(root)
        self.batches = BatchStore(root)
        self._runner = Runner(config, self.batches, self.files)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Batches are worked at."""
        self._runner.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self._runner.stop)

    def num_active(self) -> int:
        """Batches that are not done, of all callers. Any thread may ask."""
        return sum(1 for _ in self.batches.all_active())

    def wake(self) -> None:
        """There is a batch to look at."""
        self._runner.wake()


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise GatewayConfigError(
            f"batch_folder: {root} can't be written: {error.strerror}"
        ) from error


def open_desk(services: Services) -> Desk | None:
    """None where the gateway has no folder for files and batches. Raises GatewayConfigError."""
    config, tokenizer = services.config, services.tokenizer
    if config.data is None:
        return None
    fingerprint = "without" if tokenizer is None else tokenizer_fingerprint(tokenizer)
    turns = TurnConfig(
        redis_url=config.redis_url,
        limits=config.batches,
        max_line_bytes=config.max_body_bytes,
        endpoints=endpoints(services.served),
        served=f"{config.model_name} {fingerprint}",
    )
    desk = Desk(config.data, turns, max_file_bytes=config.max_file_bytes)
    services.metrics.watch_batches(desk.num_active)
    return desk
