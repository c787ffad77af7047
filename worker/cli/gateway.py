"""`rowmill gateway`."""

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
    names,
    server_url,
)
from worker.cli.reporting import BadInputError, log_to_stderr, reported_errors

_ACCESS, _LIMITS = "Access", "Limits"
_BATCHES = "Files and batches"


def gateway(
    *,
    model: Annotated[
        str, typer.Option(help="Checkpoint folder, for its tokenizer, or demo.")
    ] = "demo",
    model_name: Annotated[
        str | None,
        typer.Option(help="As callers know the model.", show_default="the last part of --model"),
    ] = None,
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; one that others reach needs --keys.",
            rich_help_panel=_ACCESS,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0: a free one.", rich_help_panel=_ACCESS
        ),
    ] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys, which `rowmill gateway-key` makes.",
            show_default="none is asked for",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_origins: Annotated[
        str,
        typer.Option(
            help="Sites whose pages may call, with commas between; * is all.",
            show_default="none",
            rich_help_panel=_ACCESS,
        ),
    ] = "",
    allow_private_webhooks: Annotated[
        bool,
        typer.Option(
            "--allow-private-webhooks",
            help="Take jobs whose webhook is at a loopback or private address.",
            rich_help_panel=_ACCESS,
        ),
    ] = False,
    max_queued: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most jobs to wait, of a tenant.",
            show_default="no limit",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_body_bytes: Annotated[
        int, typer.Option(help="Largest body of a request.", rich_help_panel=_LIMITS)
    ] = 16 * 2**20,
    max_file_bytes: Annotated[
        int, typer.Option(help="Largest file of a batch.", rich_help_panel=_LIMITS)
    ] = 200 * 2**20,
    batch_folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of files and batches.",
            show_default="there are none",
            rich_help_panel=_BATCHES,
        ),
    ] = None,
    max_batches: Annotated[
        int,
        typer.Option(
            min=1, help="Most batches of a caller that have not ended.", rich_help_panel=_BATCHES
        ),
    ] = 16,
    max_batch_lines: Annotated[
        int, typer.Option(min=1, help="Most lines of a batch.", rich_help_panel=_BATCHES)
    ] = 50_000,
    batches_at_once: Annotated[
        int,
        typer.Option(min=1, help="Batches to sample at once.", rich_help_panel=_BATCHES),
    ] = 4,
    batch_in_flight: Annotated[
        int,
        typer.Option(min=1, help="Most jobs of a batch at once.", rich_help_panel=_BATCHES),
    ] = 256,
    result_ttl: Annotated[
        int,
        typer.Option(
            min=1,
            help="Seconds for which jobs of /v1/jobs are kept after their end.",
            rich_help_panel=_LIMITS,
        ),
    ] = 86_400,
    answer_ttl: Annotated[
        int,
        typer.Option(min=1, help="Likewise of OpenAI's API.", rich_help_panel=_LIMITS),
    ] = 3600,
    max_wait_seconds: Annotated[
        float, typer.Option(help="Longest `?wait=` for a job.", rich_help_panel=_LIMITS)
    ] = 60.0,
    patience_seconds: Annotated[
        float,
        typer.Option(
            help="How long answers that wait for rows outlast a server that is away.",
            rich_help_panel=_LIMITS,
        ),
    ] = 30.0,
    stall_seconds: Annotated[
        float,
        typer.Option(
            help="Cut off who takes no byte of an answer for so long.", rich_help_panel=_LIMITS
        ),
    ] = 300.0,
    drain_seconds: Annotated[
        float,
        typer.Option(
            help="How long open requests may go on after SIGTERM.", rich_help_panel=_LIMITS
        ),
    ] = 20.0,
    metrics_port: Annotated[int | None, metrics_port_option("/metrics")] = None,
    metrics_host: MetricsHost = "127.0.0.1",
    quiet: Quiet = False,
    log_format: LogForm = LogFormat.TEXT,
    log_level: LogLeast = None,
) -> None:
    """Serve the queue by HTTP: OpenAI's API and Rowmill's own.

    Without --keys everybody on this machine may call, and nobody else. SIGTERM ends it in order.
    """
    with reported_errors():
        from gateway import GatewayConfig
        from gateway.batches.limits import BatchLimits
        from gateway.config import GatewayConfigError
        from gateway.serving import LOOPBACK, serve

        url = server_url(redis, data)
        log_to_stderr(quiet=quiet, secrets=secrets_of(url), log_format=log_format, level=log_level)
        try:
            config = GatewayConfig(
                redis_url=url,
                queue=queue,
                model=model,
                model_name=model_name or Path(model).resolve().name,
                keys_file=keys,
                allowed_origins=names(allow_origins),
                allowed_hosts=() if keys else (*LOOPBACK, host),
                allows_private_webhooks=allow_private_webhooks,
                max_queued=max_queued,
                result_ttl=result_ttl,
                answer_ttl=answer_ttl,
                max_body_bytes=max_body_bytes,
                max_file_bytes=max_file_bytes,
                max_wait_seconds=max_wait_seconds,
                patience_seconds=patience_seconds,
                stall_seconds=stall_seconds,
                drain_seconds=drain_seconds,
                data=batch_folder,
                batches=BatchLimits(
                    max_active=max_batches,
                    max_lines=max_batch_lines,
                    at_once=batches_at_once,
                    in_flight=batch_in_flight,
                ),
            )
            serve(
                config, host, port, None if metrics_port is None else (metrics_host, metrics_port)
            )
        except GatewayConfigError as error:
            raise BadInputError(str(error)) from error
