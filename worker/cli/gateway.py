"""`rowmill gateway`."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.server_url import secrets_of
from worker.cli.options import Data, Queue, Redis, server_url
from worker.cli.reporting import log_to_stderr, reported_errors


def gateway(
    model: Annotated[
        str, typer.Option(help="Checkpoint folder, for its tokenizer, or demo.")
    ] = "demo",
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve the queue by HTTP: OpenAI's API and Rowmill's own."""
    with reported_errors():
        import uvicorn

        from gateway import GatewayConfig, create_app

        url = server_url(redis, data)
        log_to_stderr(quiet=False, secrets=secrets_of(url))
        app = create_app(GatewayConfig(redis_url=url, queue=queue, model=model, model_name=model))
        uvicorn.run(app, host=host, port=port, log_config=None)
