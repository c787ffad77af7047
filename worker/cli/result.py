"""`rowmill result`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.progress import track

from jobs import Client, JobNotFoundError, JobsError, SampledRows
from vocab import Tokenizer, load_tokenizer
from vocab.display import display
from worker.cli import explain_view
from worker.cli.follow import delta_lines
from worker.cli.options import Data, Queue, Redis, server_url
from worker.cli.reporting import BadInputError, err, exit_code, out, reported_errors, warn


def result(
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(help="Without any: those on standard input, one per line."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait.", show_default="for ever"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Adds every row's text, by this model's tokenizer.", show_default=False),
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete each job from the server once it is printed.")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Print one job's rows as they come, a JSON line per piece."),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Tell each job's life instead: when, by whom, how long."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --explain: a JSON line per job.")
    ] = False,
    redis: Redis = None,
    data: Data = None,
    queue: Queue = "rowmill",
) -> None:
    """Wait for jobs and print their rows: a JSON line per job, in the order given.

    Rows have "logprobs", "top_tokens" with "top_logprobs", and "text" where the job asked for them.
    Beside the rows it tells "prompt_logprobs" where it did, "reproducible", and in "provenance"
    what is needed to repeat them. A job without rows prints {"job_id": ...,
    "error": ...}, and the exit code tells of the first.

    With --follow a line tells of the next tokens of one row: "row" is its index, and "start" says
    how many came before; "new_text" is theirs, with --model. They come as they are sampled where
    the job was pushed with --stream, and else at its end.

    --explain waits for nothing. It tells who claimed a job, which attempts there were, what was
    given back, lost, fenced off or cancelled, and what time went into waiting, running and storing.
    """
    with reported_errors():
        wanted = job_ids or [line.strip() for line in sys.stdin if line.strip()]
        if not wanted:
            raise BadInputError("give at least one job ID, as an argument or on standard input")
        if follow and explain:
            raise BadInputError("--follow and --explain are not for the same time")
        if follow and len(wanted) > 1:
            raise BadInputError(f"--follow takes one job, not {len(wanted)}")
        if as_json and not explain:
            raise BadInputError("--json goes with --explain: rows are JSON lines as they are")
        if explain:
            _refuse_beside_explain(timeout=timeout, model=model, delete=delete)
            with Client(server_url(redis, data), queue) as client:
                _explain(client, wanted, as_json=as_json)
            return
        tokenizer = None if model is None else load_tokenizer(model)
        failures: list[JobsError] = []
        with Client(server_url(redis, data), queue) as client:
            if follow:
                for line in delta_lines(client.stream(wanted[0], timeout), tokenizer):
                    typer.echo(line)
                    sys.stdout.flush()
                if delete:
                    client.delete(wanted)
                return
            for job_id, outcome in _in_order(client, wanted, timeout):
                if isinstance(outcome, JobsError):
                    failures.append(outcome)
                typer.echo(_line(job_id, outcome, tokenizer))
                if delete:
                    sys.stdout.flush()
                    client.delete([job_id])
        if failures:
            raise typer.Exit(exit_code(failures[0]))


def _refuse_beside_explain(**options: object) -> None:
    for name, value in options.items():
        if value not in (None, False):
            raise BadInputError(f"--{name} is about rows: --explain waits for none and keeps all")


def _explain(client: Client, job_ids: Sequence[str], *, as_json: bool) -> None:
    failures: list[JobsError] = []
    for index, job_id in enumerate(job_ids):
        try:
            life = client.life(job_id)
        except JobNotFoundError as error:
            failures.append(error)
            warn(str(error))
            continue
        if as_json:
            typer.echo(json.dumps(explain_view.as_json(life)))
        else:
            out.print("\n" if index else "", end="")
            explain_view.show_life(out, life)
    if failures:
        raise typer.Exit(exit_code(failures[0]))


def _in_order(
    client: Client, job_ids: Sequence[str], timeout: float | None
) -> Iterator[tuple[str, SampledRows | JobsError]]:
    """Outcomes as they come, held back until those before them are there."""
    outcomes: dict[str, SampledRows | JobsError] = {}
    ordered = list(dict.fromkeys(job_ids))
    position = 0
    news: Iterable[tuple[str, SampledRows | JobsError]] = client.results(ordered, timeout)
    if err.is_terminal and len(ordered) > 1:
        news = track(news, "waiting", total=len(ordered), console=err, transient=True)
    for job_id, outcome in news:
        outcomes[job_id] = outcome
        while position < len(ordered) and ordered[position] in outcomes:
            yield ordered[position], outcomes.pop(ordered[position])
            position += 1


def _line(job_id: str, outcome: SampledRows | JobsError, tokenizer: Tokenizer | None) -> str:
    if isinstance(outcome, JobsError):
        return json.dumps({"job_id": job_id, "error": f"{type(outcome).__name__}: {outcome}"})
    rows = [row.model_dump(exclude_none=True) for row in outcome.rows]
    if tokenizer is not None:
        for row in rows:
            row.setdefault("text", display(row["tokens"], tokenizer))
    told: dict[str, Any] = {"job_id": job_id, "rows": rows}
    if outcome.prompt_logprobs is not None:
        told["prompt_logprobs"] = outcome.prompt_logprobs
    told["reproducible"] = outcome.reproducible
    told["provenance"] = outcome.provenance and outcome.provenance.model_dump()
    return json.dumps(told)
