"""`rowmill worker`."""

from __future__ import annotations

import contextlib
from typing import Annotated
from uuid import uuid4

import typer

from jobs.job_options import MAX_PAYLOAD_BYTES
from jobs.server_url import secrets_of
from worker.cli.log_format import LogFormat
from worker.cli.options import (
    Data,
    LogForm,
    LogLeast,
    MetricsHost,
    Quiet,
    Redis,
    Threads,
    given_url,
    metrics_port_option,
)
from worker.cli.reporting import (
    BadInputError,
    FailureError,
    err,
    leave_on_sigterm,
    log_to_stderr,
    out,
    reported_errors,
)
from worker.embedded import default_folder, embedded_server
from worker.local_workers import parent_watch


def worker(
    model: Annotated[
        str, typer.Option(help="Checkpoint folder, nanochat's or Hugging Face's, or demo.")
    ] = "demo",
    redis: Redis = None,
    data: Data = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            help="Its name; several, in order of priority: --queue urgent --queue rowmill.",
            show_default="rowmill",
        ),
    ] = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows that run at once.")] = 64,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")
    ] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Of the weights; auto: the checkpoint's.",
            show_default="float32 on a CPU, else bfloat16",
        ),
    ] = None,
    threads: Threads = None,
    kv_budget_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="KV cache.", show_default="a quarter of the free memory"),
    ] = None,
    prefix_cache: Annotated[
        bool, typer.Option(help="Whether to keep the KV of prompts for those that begin alike.")
    ] = True,
    max_num_samples: Annotated[int, typer.Option(min=1, help="Most rows of a job.")] = 4096,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Most max_tokens of a job.", show_default="the context"),
    ] = None,
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds until a silent worker counts as dead.")
    ] = 15.0,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="For what runs after SIGTERM; the rest is given back.")
    ] = 25.0,
    max_payload_bytes: Annotated[
        int, typer.Option(min=1, help="Most bytes of a job, compressed or not.")
    ] = MAX_PAYLOAD_BYTES,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="How often a job may take its worker down.")
    ] = 3,
    webhooks: Annotated[
        bool, typer.Option(help="Whether to send jobs' RQ webhooks, to URLs that producers choose.")
    ] = True,
    stream_interval: Annotated[
        float, typer.Option(min=0, help="Seconds between two pieces of a job that streams.")
    ] = 0.05,
    stream_tokens: Annotated[
        int, typer.Option(min=1, help="As many new tokens of a row end the interval early.")
    ] = 32,
    stream_chunks: Annotated[
        int, typer.Option(min=1, help="Pieces of a job that the server keeps, about.")
    ] = 10_000,
    metrics_port: Annotated[
        int | None, metrics_port_option("/metrics, /healthz and /readyz")
    ] = None,
    metrics_host: MetricsHost = "127.0.0.1",
    stall_seconds: Annotated[
        float, typer.Option(min=1, help="In one step, after which /healthz tells of a hung worker.")
    ] = 120.0,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queue is empty.")] = False,
    quiet: Quiet = False,
    log_format: LogForm = LogFormat.TEXT,
    log_level: LogLeast = None,
    stop_with_parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs of a queue.

    SIGTERM or Ctrl+C takes nothing more and finishes what runs, for --drain-seconds at most; what
    is unfinished then, or at a second signal, goes back to the head of the queue.
    """
    with reported_errors(), contextlib.ExitStack() as stack:
        from engine import EngineConfig, EngineError
        from worker.cli.loading_bar import LoadingBar
        from worker.config import WorkerConfig
        from worker.run_worker import run_worker

        url = given_url(redis)
        name = uuid4().hex  # RQ's way to name workers; here so that every line can tell it
        log_to_stderr(
            quiet=quiet,
            secrets=secrets_of(url) if url else (),
            log_format=log_format,
            level=log_level,
            fields={"worker": name},
        )
        leave_on_sigterm()  # until the worker handles it
        if stop_with_parent is not None:
            stack.enter_context(parent_watch(stop_with_parent))
        if url is None:
            url = stack.enter_context(embedded_server(data or default_folder()))
            out.print(f"embedded server: {url}", soft_wrap=True)
        config = WorkerConfig(
            name=name,
            model=model,
            redis_url=url,
            queues=tuple(queue or ["rowmill"]),
            device=device,
            dtype=dtype,
            num_threads=threads,
            lease=lease,
            drain_seconds=drain_seconds,
            max_payload_bytes=max_payload_bytes,
            max_attempts=max_attempts,
            sends_webhooks=webhooks,
            stream_interval=stream_interval,
            stream_tokens=stream_tokens,
            stream_chunks=stream_chunks,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            stall_seconds=stall_seconds,
            engine=EngineConfig(
                max_rows=max_rows,
                kv_budget_tokens=kv_budget_tokens,
                prefix_cache=prefix_cache,
                max_num_samples=max_num_samples,
                max_new_tokens=max_new_tokens,
            ),
        )
        bar = LoadingBar(err)
        stack.callback(bar.stop)
        try:
            is_well = run_worker(config, burst=burst, on_loading=bar)
        except EngineError as error:
            raise BadInputError(str(error)) from error
        if not is_well:
            raise FailureError("the worker stopped on an error, which its log tells")
