"""The tables of benches: what is shown, then figures."""

from __future__ import annotations

from rich.table import Table


def table(*headings: str) -> Table:
    """Empty; all columns but the first are numbers."""
    empty = Table(headings[0])
    for heading in headings[1:]:
        empty.add_column(heading, justify="right")
    return empty
