"""`rowmill sample`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import JobsError
from jobs.names import check_queue_name
from jobs.server_url import check_url
from worker.cli.log_format import LogFormat
from worker.cli.option_group import with_options
from worker.cli.options import LogForm, given_url
from worker.cli.reporting import (
    BadInputError,
    leave_on_sigterm,
    log_to_stderr,
    out,
    reported_errors,
    warn,
)
from worker.cli.row_options import RowOptions
from worker.cli.sample_options import (
    Chat,
    Device,
    DryRun,
    Dtype,
    Extend,
    FailOnError,
    IdColumn,
    InFlight,
    Inputs,
    InputsPerPart,
    Limit,
    MaxRows,
    Model,
    NumSamples,
    Out,
    Overwrite,
    OwnLogLeast,
    OwnThreads,
    PromptColumn,
    Prompts,
    QueueName,
    RetryFailures,
    Seed,
    ServerUrl,
    ShardText,
    Text,
    Workers,
)
from worker.cli.sample_views import ProgressView, show_end, show_plan, surveying
from worker.local_fleet import LocalFleet, LocalFleetError, local_fleet

if TYPE_CHECKING:  # it needs pyarrow, which other commands do without
    from jobs.dataset import SamplingRun


@with_options("rows", RowOptions)
def sample(
    *,
    inputs: Inputs,
    folder: Out = None,
    model: Model = None,
    num_samples: NumSamples = 1,
    seed: Seed = 0,
    rows: RowOptions,
    prompt_column: PromptColumn = None,
    id_column: IdColumn = "id",
    chat: Chat = False,
    limit: Limit = None,
    shard: ShardText = None,
    dry_run: DryRun = False,
    text: Text = False,
    prompts: Prompts = False,
    inputs_per_part: InputsPerPart = 1000,
    extend: Extend = False,
    retry_failures: RetryFailures = False,
    overwrite: Overwrite = False,
    fail_on_error: FailOnError = None,
    redis: ServerUrl = None,
    queue: QueueName = "rowmill",
    in_flight: InFlight = 1000,
    workers: Workers = None,
    max_rows: MaxRows = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: OwnThreads = None,
    log_format: LogForm = LogFormat.TEXT,
    log_level: OwnLogLeast = None,
) -> None:
    """Sample rows for every input of a dataset, into Parquet files.

    Inputs are lines with prompt_tokens, prompt (text) or messages (a chat), or
    OpenAI batch lines; a line's id, num_samples, seed, max_tokens, temperature,
    stop and so on are heeded.

    Interrupted or killed, the same command goes on where it was. The same
    inputs, model and options give the same bytes.
    """
    with reported_errors():
        log_to_stderr(quiet=True, log_format=log_format, level=log_level)
        leave_on_sigterm()
        from jobs.dataset import SamplingRun, Tolerance  # they need pyarrow

        logs = ["--log-format", log_format]
        logs += [] if log_level is None else ["--log-level", log_level]
        own: dict[str, Any] = {"workers": workers, "max_rows": max_rows, "threads": threads}
        own |= {"device": device, "dtype": dtype}
        own = {name: value for name, value in own.items() if value is not None}
        url = given_url(redis) if redis or not own else None
        if not dry_run:
            _check(folder, model, url, queue, own)
            Tolerance.parse(fail_on_error)
        run = SamplingRun(
            inputs,
            folder or Path(),
            model=model,
            extend=extend,
            retry_failures=retry_failures,
            overwrite=overwrite,
            num_samples=num_samples,
            seed=seed,
            prompt_column=prompt_column,
            id_column=id_column,
            chat=chat,
            limit=limit,
            shard=shard,
            inputs_per_part=inputs_per_part,
            text=text,
            prompts=prompts,
            **rows.fields(),
        )
        with surveying(out) as on_progress:
            found = run.survey(on_progress)
        if dry_run:
            show_plan(out, run, found)
            return
        with _telling_how_to_go_on(run), run:
            if not run.is_complete:
                with _workers_for(url, model, queue, own, logs) as (server, fleet):
                    _sample(run, server, fleet, queue, in_flight, fail_on_error)
            run.check_failures(fail_on_error)
        show_end(out, run)


def _check(
    folder: Path | None, model: str | None, url: str | None, queue: str, own: Mapping[str, Any]
) -> None:
    """Before the folder is touched. Raises BadInputError for what is missing, or too much, and
    InvalidJobError for a URL or a queue that can't be."""
    check_queue_name(queue)
    if url is not None:
        check_url(url)
    if folder is None:
        raise BadInputError("give --out, the folder for the rows")
    if url is None and model is None:
        raise BadInputError("give --model, or --redis where workers have one")
    if url is not None and own:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in own)
        raise BadInputError(f"{names} is for workers of this command's own: not with --redis")


@contextlib.contextmanager
def _workers_for(
    url: str | None, model: str | None, queue: str, own: Mapping[str, Any], logs: Sequence[str]
) -> Iterator[tuple[str, LocalFleet | None]]:
    """The server to use, and the fleet that serves it if it is this command's own."""
    if url is not None:
        yield url, None
        return
    assert model is not None, "it was asked for"
    with local_fleet(model, queue=queue, drain_seconds=0.0, logs=logs, **own) as fleet:
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
    except (JobsError, LocalFleetError, KeyboardInterrupt, SystemExit) as error:
        if run.has_begun and not run.is_complete:
            how = (
                f"{run.progress.num_done} of {run.progress.num_inputs} inputs are done and kept; "
                "the same command goes on from there"
            )
            if isinstance(error, Exception):
                error.add_note(how)  # shown after it
            else:
                warn(how)
        raise
