"""The process that sends webhooks: from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from gateway.webhooks.config import WebhooksConfig
from gateway.webhooks.counters import WebhookCounters
from gateway.webhooks.dispatcher import Dispatcher
from gateway.webhooks.guarded_network import GuardedNetwork
from gateway.webhooks.outbox import Outbox
from gateway.webhooks.poster import Poster
from gateway.webhooks.secrets_file import SecretsFile

log = logging.getLogger("rowmill.webhooks")


async def run_webhooks(
    config: WebhooksConfig, secrets: SecretsFile, counters: WebhookCounters
) -> None:
    """Sends a queue's webhooks until SIGTERM or SIGINT.

    What is being sent then is finished, for one attempt's time at most; a second signal ends at
    once, and what was under way is sent again by another sender, or the next one. Raises
    WebhooksConfigError, InvalidJobError, and ServerUnavailableError where there is no server at
    the start.
    """
    outbox = Outbox(config)
    network = GuardedNetwork(allows_private=config.allows_private, num_lookups=config.max_at_once)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(outbox.close)
        poster = Poster(config, network)
        stack.push_async_callback(poster.close)
        dispatcher = Dispatcher(config, outbox, poster, secrets, counters)
        await outbox.check()
        running = asyncio.create_task(dispatcher.run())
        _stop_on_signals(dispatcher, running)
        log.info("sending the webhooks of queue %s", config.queue)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        log.info("%d sent, %d given up", counters.num_sent, counters.num_given_up)


def _stop_on_signals(dispatcher: Dispatcher, running: asyncio.Task[None]) -> None:
    num_signals = 0

    def stop() -> None:
        nonlocal num_signals
        num_signals += 1
        if num_signals == 1:
            log.info("stopping: what is being sent is finished")
            dispatcher.stop()
        else:
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
