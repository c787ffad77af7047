"""The command line, a file per command.

Exit codes: 0 done, 1 a job or the worker failed, 2 bad input, 3 no server, 4 timed out,
130 interrupted.
"""

from __future__ import annotations

import typer

from worker.cli import (
    bench,
    bench_gateway,
    bench_queue,
    bench_sample,
    demo,
    gateway,
    gateway_key,
    result,
    sample,
    submit,
    top,
    webhooks,
    worker,
)

app = typer.Typer(
    help="Batched inference behind a job queue: the same tokens, whatever shares the batch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo.demo,
    worker.worker,
    gateway.gateway,
    gateway_key.gateway_key,
    webhooks.webhooks,
    sample.sample,
    submit.submit,
    result.result,
    top.top,
):
    app.command()(command)

# The bench of the engine by itself, and with a command that of the queue, of sampling or of HTTP.
benches = typer.Typer()
benches.callback(invoke_without_command=True)(bench.bench)
benches.command("queue")(bench_queue.bench_queue)
benches.command("sample")(bench_sample.bench_sample)
benches.command("gateway")(bench_gateway.bench_gateway)
app.add_typer(benches, name="bench")


def main() -> None:
    app()
