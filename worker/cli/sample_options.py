"""The options of `rowmill sample`: which inputs, what the folder holds, and who samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.log_format import LogLevel
from worker.cli.row_options import ROWS

_INPUT, _FOLDER, _WORKERS = "Input", "Folder", "Workers"

Inputs = Annotated[list[Path], typer.Argument(help="Files: .jsonl (plain, .gz, .zst) or .parquet.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where the rows go.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option(
        help="Checkpoint folder, or demo. With --redis: only whose tokenizer renders text.",
        show_default=False,
    ),
]
NumSamples = Annotated[int, typer.Option(help="Rows per input.", rich_help_panel=ROWS)]
Seed = Annotated[
    int, typer.Option(help="Of the run; each input's is derived.", rich_help_panel=ROWS)
]

PromptColumn = Annotated[
    str | None,
    typer.Option(
        help="Where prompts are: tokens, text or chat messages.",
        show_default="prompt_tokens, prompt or messages",
        rich_help_panel=_INPUT,
    ),
]
IdColumn = Annotated[
    str, typer.Option(help="Where inputs' own IDs are, if any.", rich_help_panel=_INPUT)
]
Chat = Annotated[
    bool, typer.Option("--chat", help="Text is the question of a chat.", rich_help_panel=_INPUT)
]
Limit = Annotated[
    int | None,
    typer.Option(help="Only the first inputs.", show_default="all", rich_help_panel=_INPUT),
]
ShardText = Annotated[
    str | None,
    typer.Option(
        help="i/n: every n-th input, beginning with i.",
        show_default="all",
        rich_help_panel=_INPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Read the files, print counts and the first prompt, sample nothing.",
        rich_help_panel=_INPUT,
    ),
]

Text = Annotated[
    bool, typer.Option("--text", help="A column with rows as text.", rich_help_panel=_FOLDER)
]
Prompts = Annotated[
    bool,
    typer.Option("--prompts", help="A column with the prompt's tokens.", rich_help_panel=_FOLDER),
]
InputsPerPart = Annotated[
    int, typer.Option(help="Inputs of a Parquet file.", rich_help_panel=_FOLDER)
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Add rows to the folder's: --num-samples is more than before.",
        rich_help_panel=_FOLDER,
    ),
]
RetryFailures = Annotated[
    bool,
    typer.Option("--retry-failures", help="Try again what failed.", rich_help_panel=_FOLDER),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Delete the run that the folder holds.", rich_help_panel=_FOLDER
    ),
]
FailOnError = Annotated[
    str | None,
    typer.Option(
        help="Failures that stop the run: true (one), a count, or a share such as 0.05.",
        show_default="none",
        rich_help_panel=_FOLDER,
    ),
]

ServerUrl = Annotated[
    str | None,
    typer.Option(
        help="Server whose workers sample, redis:// or unix://; else ROWMILL_REDIS.",
        show_default="workers of this command's own",
        rich_help_panel=_WORKERS,
    ),
]
QueueName = Annotated[str, typer.Option(help="Name of the queue.", rich_help_panel=_WORKERS)]
InFlight = Annotated[
    int,
    typer.Option(
        min=1, max=10**6, help="Most jobs on their way at once.", rich_help_panel=_WORKERS
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes of its own.", show_default="1", rich_help_panel=_WORKERS),
]
MaxRows = Annotated[
    int | None,
    typer.Option(min=1, help="Rows in each at once.", show_default="64", rich_help_panel=_WORKERS),
]
Device = Annotated[
    str | None,
    typer.Option(help="Theirs: cpu, cuda or auto.", show_default="auto", rich_help_panel=_WORKERS),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Of their weights; auto: the checkpoint's.",
        show_default="float32 on a CPU, else bfloat16",
        rich_help_panel=_WORKERS,
    ),
]
OwnThreads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=512,
        help="CPU threads of each.",
        show_default="the cores, shared out",
        rich_help_panel=_WORKERS,
    ),
]
OwnLogLeast = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level", help="The least that is logged, also by its workers.", show_default="warning"
    ),
]
