"""`rowmill worker`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from worker.cli.options import Data, Queue, Redis, Threads
from worker.cli.reporting import (
    BadInputError,
    FailureError,
    leave_on_sigterm,
    log_to_stderr,
    out,
    reported_errors,
)
from worker.config import redis_from_environment
from worker.embedded import default_folder, embedded_server
from worker.local_workers import parent_watch


def worker(
    model: Annotated[str, typer.Option(help="Checkpoint folder, or demo.")] = "demo",
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows that run at once.")] = 64,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")
    ] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(help="Of the weights.", show_default="float32 on a CPU, else bfloat16"),
    ] = None,
    threads: Threads = None,
    kv_budget_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="KV cache.", show_default="a quarter of the free memory"),
    ] = None,
    max_num_samples: Annotated[int, typer.Option(min=1, help="Most rows of a job.")] = 4096,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Most max_tokens of a job.", show_default="the context"),
    ] = None,
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds until a silent worker counts as dead.")
    ] = 15.0,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queue is empty.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log warnings and errors only.")] = False,
    stop_with_parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs of a queue.

    SIGTERM or Ctrl+C finishes what runs and takes nothing more; a second one puts what is
    unfinished back on the queue.
    """
    with reported_errors(), contextlib.ExitStack() as stack:
        from engine import EngineConfig, EngineError
        from worker.config import WorkerConfig
        from worker.run_worker import run_worker

        log_to_stderr(quiet=quiet)
        leave_on_sigterm()  # until the worker handles it
        if stop_with_parent is not None:
            stack.enter_context(parent_watch(stop_with_parent))
        url = redis or redis_from_environment()
        if url is None:
            url = stack.enter_context(embedded_server(data or default_folder()))
            out.print(f"embedded server: {url}", soft_wrap=True)
        config = WorkerConfig(
            model=model,
            redis_url=url,
            queue=queue,
            device=device,
            dtype=dtype,
            num_threads=threads,
            lease=lease,
            engine=EngineConfig(
                max_rows=max_rows,
                kv_budget_tokens=kv_budget_tokens,
                max_num_samples=max_num_samples,
                max_new_tokens=max_new_tokens,
            ),
        )
        try:
            is_well = run_worker(config, burst=burst)
        except EngineError as error:
            raise BadInputError(str(error)) from error
        if not is_well:
            raise FailureError("the worker stopped on an error, which its log tells")
