"""`rowmill gateway-key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.reporting import BadInputError, note, reported_errors


def gateway_key(
    name: Annotated[
        str, typer.Argument(help="The tenant whose jobs the key pushes.", show_default=False)
    ],
    file: Annotated[Path, typer.Option(help="The file that `rowmill gateway` reads.")] = Path(
        "keys.toml"
    ),
    queue: Annotated[
        str | None, typer.Option(help="Where its jobs go.", show_default="the gateway's --queue")
    ] = None,
    priority: Annotated[
        int, typer.Option(help="The tenant's share of the turns, 1 to 100: 4 is four times 1's.")
    ] = 1,
    rows_per_minute: Annotated[
        int | None, typer.Option(help="Most rows to ask for.", show_default="no limit")
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(
            help="Most tokens: each job's prompt, and max_tokens for each row.",
            show_default="no limit",
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36500, help="It expires after so many.", show_default="never"),
    ] = None,
) -> None:
    """Make an API key: print it, this once, and append its hash to the keys' file.

    A running gateway reads the file again. A key ends when its entry goes, or gets the line
    disabled = true. Two entries may have one name, while a tenant changes its key.
    """
    with reported_errors():
        from gateway.access.new_key import add_key
        from gateway.config import GatewayConfigError

        try:
            key = add_key(
                file,
                name,
                days=days,
                queue=queue,
                priority=priority,
                rows_per_minute=rows_per_minute,
                tokens_per_minute=tokens_per_minute,
            )
        except GatewayConfigError as error:
            raise BadInputError(str(error)) from error
        note(f"its hash is in {file} now; the key itself is kept nowhere:")
        typer.echo(key)
