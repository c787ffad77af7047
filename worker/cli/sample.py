"""`rowmill sample`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import JobsError
from worker.cli.options import ROWS, MaxTokens, MinP, Temperature, TopK, TopP, given_url
from worker.cli.reporting import (
    BadInputError,
    leave_on_sigterm,
    log_to_stderr,
    out,
    reported_errors,
    warn,
)
from worker.cli.sample_views import ProgressView, show_end, show_plan, surveying
from worker.local_fleet import LocalFleet, LocalFleetError, local_fleet

if TYPE_CHECKING:  # it needs pyarrow, which other commands do without
    from jobs.dataset import SamplingRun

_INPUT, _FOLDER, _WORKERS = "Input", "Folder", "Workers"


def sample(
    inputs: Annotated[
        list[Path], typer.Argument(help="Files: .jsonl (plain, .gz, .zst) or .parquet.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where the rows go.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint folder, or demo. With --redis: only whose tokenizer renders text.",
            show_default=False,
        ),
    ] = None,
    num_samples: Annotated[int, typer.Option(help="Rows per input.", rich_help_panel=ROWS)] = 1,
    seed: Annotated[
        int, typer.Option(help="Of the run; each input's is derived.", rich_help_panel=ROWS)
    ] = 0,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    prompt_column: Annotated[
        str | None,
        typer.Option(
            help="Where prompts are: tokens, text or chat messages.",
            show_default="prompt_tokens, prompt or messages",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    id_column: Annotated[
        str, typer.Option(help="Where inputs' own IDs are, if any.", rich_help_panel=_INPUT)
    ] = "id",
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Text is the question of a chat.", rich_help_panel=_INPUT),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(help="Only the first inputs.", show_default="all", rich_help_panel=_INPUT),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/n: every n-th input, beginning with i.",
            show_default="all",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read the files, print counts and the first prompt, sample nothing.",
            rich_help_panel=_INPUT,
        ),
    ] = False,
    logprobs: Annotated[
        bool,
        typer.Option(
            "--logprobs",
            help="A column with each token's log-probability.",
            rich_help_panel=_FOLDER,
        ),
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="A column with rows as text.", rich_help_panel=_FOLDER)
    ] = False,
    prompts: Annotated[
        bool,
        typer.Option(
            "--prompts", help="A column with the prompt's tokens.", rich_help_panel=_FOLDER
        ),
    ] = False,
    inputs_per_part: Annotated[
        int, typer.Option(help="Inputs of a Parquet file.", rich_help_panel=_FOLDER)
    ] = 1000,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="Add rows to the folder's: --num-samples is more than before.",
            rich_help_panel=_FOLDER,
        ),
    ] = False,
    retry_failures: Annotated[
        bool,
        typer.Option("--retry-failures", help="Try again what failed.", rich_help_panel=_FOLDER),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Delete the run that the folder holds.", rich_help_panel=_FOLDER
        ),
    ] = False,
    fail_on_error: Annotated[
        str | None,
        typer.Option(
            help="Failures that stop the run: true (one), a count, or a share such as 0.05.",
            show_default="none",
            rich_help_panel=_FOLDER,
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            help="Server whose workers sample, redis:// or unix://; else ROWMILL_REDIS.",
            show_default="workers of this command's own",
            rich_help_panel=_WORKERS,
        ),
    ] = None,
    queue: Annotated[
        str, typer.Option(help="Name of the queue.", rich_help_panel=_WORKERS)
    ] = "rowmill",
    in_flight: Annotated[
        int, typer.Option(help="Most jobs on their way at once.", rich_help_panel=_WORKERS)
    ] = 1000,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes of its own.", show_default="1", rich_help_panel=_WORKERS
        ),
    ] = None,
    max_rows: Annotated[
        int | None,
        typer.Option(
            min=1, help="Rows in each at once.", show_default="64", rich_help_panel=_WORKERS
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Theirs: cpu, cuda or auto.", show_default="auto", rich_help_panel=_WORKERS
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Of their weights.",
            show_default="float32 on a CPU, else bfloat16",
            rich_help_panel=_WORKERS,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=512,
            help="CPU threads of each.",
            show_default="the cores, shared out",
            rich_help_panel=_WORKERS,
        ),
    ] = None,
) -> None:
    """Sample rows for every input of a dataset, into Parquet files.

    Inputs are lines with prompt_tokens, prompt (text) or messages (a chat), or OpenAI batch lines;
    a line's id, num_samples, seed, max_tokens, temperature, top_k, top_p and min_p are heeded.

    Interrupted or killed, the same command goes on where it was. The same inputs, model and
    options give the same bytes.
    """
    with reported_errors():
        log_to_stderr(quiet=True)
        leave_on_sigterm()
        from jobs.dataset import SamplingRun  # needs pyarrow

        own: dict[str, Any] = {"workers": workers, "max_rows": max_rows, "threads": threads}
        own |= {"device": device, "dtype": dtype}
        own = {name: value for name, value in own.items() if value is not None}
        url = given_url(redis) if redis or not own else None
        if not dry_run:
            _check_complete(folder, model, url, own)
        run = SamplingRun(
            inputs,
            folder or Path(),
            model=model,
            extend=extend,
            retry_failures=retry_failures,
            overwrite=overwrite,
            num_samples=num_samples,
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            prompt_column=prompt_column,
            id_column=id_column,
            chat=chat,
            limit=limit,
            shard=shard,
            inputs_per_part=inputs_per_part,
            logprobs=logprobs,
            text=text,
            prompts=prompts,
        )
        with surveying(out) as on_progress:
            found = run.survey(on_progress)
        if dry_run:
            show_plan(out, run, found)
            return
        with _telling_how_to_go_on(run), run:
            if not run.is_complete:
                with _workers_for(url, model, queue, own) as (server, fleet):
                    _sample(run, server, fleet, queue, in_flight, fail_on_error)
        show_end(out, run)


def _check_complete(
    folder: Path | None, model: str | None, url: str | None, own: Mapping[str, Any]
) -> None:
    """Raises BadInputError for what is missing, or too much."""
    if folder is None:
        raise BadInputError("give --out, the folder for the rows")
    if url is None and model is None:
        raise BadInputError("give --model, or --redis where workers have one")
    if url is not None and own:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in own)
        raise BadInputError(f"{names} is for workers of this command's own: not with --redis")


@contextlib.contextmanager
def _workers_for(
    url: str | None, model: str | None, queue: str, own: Mapping[str, Any]
) -> Iterator[tuple[str, LocalFleet | None]]:
    """The server to use, and the fleet that serves it if it is this command's own."""
    if url is not None:
        yield url, None
        return
    assert model is not None, "it was asked for"
    with local_fleet(model, queue=queue, drain_seconds=0.0, **own) as fleet:
        yield fleet.url, fleet


def _sample(
    run: SamplingRun,
    server: str,
    fleet: LocalFleet | None,
    queue: str,
    in_flight: int,
    fail_on_error: str | None,
) -> None:
    with ProgressView(out) as view:

        def while_waiting() -> None:
            if fleet is not None:
                fleet.check()
            view.update(run.progress)

        results = run.sample(
            server,
            queue=queue,
            in_flight=in_flight,
            fail_on_error=fail_on_error,
            while_waiting=while_waiting,
        )
        for _ in results:
            pass
        view.update(run.progress)


@contextlib.contextmanager
def _telling_how_to_go_on(run: SamplingRun) -> Iterator[None]:
    """Whatever ends the run before its end."""
    try:
        yield
    except (JobsError, LocalFleetError, KeyboardInterrupt, SystemExit):
        if run.has_begun:
            warn(
                f"{run.progress.num_done} of {run.progress.num_inputs} inputs are done and kept; "
                "the same command goes on from there"
            )
        raise
