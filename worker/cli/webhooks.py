"""`rowmill webhooks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.server_url import secrets_of
from worker.cli.log_format import LogFormat
from worker.cli.options import (
    Data,
    LogForm,
    LogLeast,
    MetricsHost,
    Queue,
    Quiet,
    Redis,
    metrics_port_option,
    server_url,
)
from worker.cli.reporting import BadInputError, log_to_stderr, reported_errors


def webhooks(
    secrets: Annotated[
        Path,
        typer.Option(help="TOML file of signing secrets, for its owner only: docs/gateway.md."),
    ],
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Send to hosts of this name only, as in '*.example.com'. Repeatable.",
            show_default="all",
        ),
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="Send to loopback and private addresses, too."),
    ] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="Authorities to trust for https.", show_default="the system's"),
    ] = None,
    max_at_once: Annotated[int, typer.Option(min=1, help="Most webhooks under way.")] = 64,
    max_per_host: Annotated[int, typer.Option(min=1, help="Most requests to a host.")] = 8,
    connect_timeout: Annotated[float, typer.Option(help="Seconds to connect.")] = 5.0,
    timeout: Annotated[float, typer.Option(help="Seconds for an attempt.")] = 15.0,
    max_attempts: Annotated[int, typer.Option(min=1, help="Then it is given up.")] = 12,
    first_retry: Annotated[
        float, typer.Option(help="Seconds after the first attempt; then three times as long each.")
    ] = 5.0,
    longest_retry: Annotated[
        float, typer.Option(help="Most seconds from one attempt to the next.")
    ] = 21600.0,
    metrics_port: Annotated[int | None, metrics_port_option("/metrics")] = None,
    metrics_host: MetricsHost = "127.0.0.1",
    quiet: Quiet = False,
    log_format: LogForm = LogFormat.TEXT,
    log_level: LogLeast = None,
) -> None:
    """Tell services of jobs that ended: send the webhooks of a queue, signed and with retries.

    Several may run. SIGTERM or Ctrl+C finishes what is being sent.
    """
    with reported_errors():
        import asyncio
        import contextlib

        from gateway.config import GatewayConfigError
        from gateway.metrics_server import serving_metrics
        from gateway.webhooks import (
            SecretsFile,
            WebhookCounters,
            WebhooksConfig,
            WebhooksConfigError,
            run_webhooks,
            webhook_registry,
        )

        try:
            url = server_url(redis, data)
            signing = SecretsFile(secrets)
            log_to_stderr(
                quiet=quiet,
                secrets=(*secrets_of(url), *signing.texts()),
                log_format=log_format,
                level=log_level,
            )
            config = WebhooksConfig(
                redis_url=url,
                queue=queue,
                allowed_hosts=tuple(allow_host or ()),
                allows_private=allow_private,
                ca_file=ca_file,
                max_at_once=max_at_once,
                max_per_host=max_per_host,
                connect_timeout=connect_timeout,
                timeout=timeout,
                max_attempts=max_attempts,
                first_retry=first_retry,
                longest_retry=longest_retry,
            )
            counters = WebhookCounters()
            with contextlib.ExitStack() as stack:
                if metrics_port is not None:
                    registry = webhook_registry(counters)
                    stack.enter_context(serving_metrics(metrics_host, metrics_port, registry))
                asyncio.run(run_webhooks(config, signing, counters))
        except (GatewayConfigError, WebhooksConfigError) as error:
            raise BadInputError(str(error)) from error
