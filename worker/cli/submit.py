"""`rowmill submit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from jobs import Client, QueueFullError
from worker.cli.option_group import with_options
from worker.cli.options import Data, Queue, Redis, server_url
from worker.cli.reporting import BadInputError, reported_errors
from worker.cli.row_options import ROWS, RowOptions
from worker.job_lines import JobLines, parse_tokens


@with_options("rows", RowOptions)
def submit(
    *,
    prompt_tokens: Annotated[
        str | None, typer.Option(help="Prompt as token IDs: 1,2,3", show_default=False)
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Prompt as text; needs --model.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Whose tokenizer encodes text: a folder, or demo.", show_default=False),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Encode text as it is, not as a chat's question.")
    ] = False,
    num_samples: Annotated[int, typer.Option(help="Rows.", rich_help_panel=ROWS)] = 1,
    first_row: Annotated[
        int,
        typer.Option(
            help="Index of the first one: 8 goes on after eight rows.", rich_help_panel=ROWS
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option(help="Of the rows' random numbers.", rich_help_panel=ROWS)
    ] = 0,
    rows: RowOptions,
    job_id: Annotated[
        str | None, typer.Option(help="The job's ID.", show_default="a random one")
    ] = None,
    deadline_seconds: Annotated[
        float | None,
        typer.Option(help="Fail unless done so soon after the push.", show_default=False),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose jobs: tenants take turns.", show_default=False)
    ] = None,
    priority: Annotated[
        int, typer.Option(help="The tenant's share of the turns, 1 to 100: 4 is four times 1's.")
    ] = 1,
    reply_to: Annotated[
        str | None,
        typer.Option(help="List on which the job's ID is put when it ends.", show_default=False),
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(help="Where to say that the job has ended.", show_default=False),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Tell tokens as they come: rowmill result --follow JOB."),
    ] = False,
    max_queued: Annotated[
        int | None,
        typer.Option(min=1, help="Most jobs to wait, of a tenant.", show_default="no limit"),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where --max-queued is reached, wait for room.")
    ] = False,
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
) -> None:
    """Push jobs and print their IDs, one per line.

    One job from --prompt-tokens or --text. Without either: one per line of standard input, as
    JSON like {"prompt_tokens": [1, 2], "seed": 7} or {"text": "What is 2 + 3?"}, with any field
    of a job and "job_id"; the options stand for fields that a line leaves out.
    """
    with reported_errors():
        fields = {
            "num_samples": num_samples,
            "first_row": first_row,
            "seed": seed,
            **rows.fields(),
            "deadline_seconds": deadline_seconds,
            "tenant": tenant,
            "priority": priority,
            "reply_to": reply_to,
            "webhook_url": webhook_url,
            "stream": stream,
        }
        lines = JobLines(fields, model=model, is_raw=raw)
        if prompt_tokens is not None or text is not None:
            prompt: dict[str, Any] = {"text": text, "job_id": job_id}
            if prompt_tokens is not None:
                prompt["prompt_tokens"] = parse_tokens(prompt_tokens, "prompt_tokens")
            pushed = [lines.job({key: value for key, value in prompt.items() if value is not None})]
        elif job_id is not None:
            raise BadInputError("--job-id names one job: give it with --prompt-tokens or --text")
        elif sys.stdin.isatty():
            raise BadInputError("give --prompt-tokens, --text, or JSON lines on standard input")
        else:
            pushed = lines.read(sys.stdin)
        if wait and max_queued is None:
            raise BadInputError("--wait goes with --max-queued")
        patience = None if wait else 0.0
        url = server_url(redis, data)
        with Client(url, queue, max_queued=max_queued, wait_when_full=patience) as client:
            try:
                job_ids: Sequence[str] = client.submit_many(
                    [job for _, job in pushed], job_ids=[its_id for its_id, _ in pushed]
                )
            except QueueFullError as error:
                _print_lines(error.pushed)
                raise
        _print_lines(job_ids)


def _print_lines(job_ids: Sequence[str]) -> None:
    for job_id in job_ids:
        typer.echo(job_id)
